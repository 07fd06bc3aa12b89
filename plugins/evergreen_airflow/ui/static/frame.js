// What every page has: Airflow's own choice of light or dark, and links that leave the frame in which Airflow shows a page.
"use strict";
(() => {
  const root = document.documentElement;
  const ours = new URL(document.currentScript.src).pathname.replace(/static\/[^/]*$/, "");

  function follow() {
    let theme = null;
    try {
      theme = localStorage.getItem("theme"); // where Airflow's UI keeps it
    } catch {
      // no storage: as the browser prefers
    }
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }
  follow();
  addEventListener("storage", follow);

  function outer() {
    try {
      return parent !== self && parent.document ? parent.document : null;
    } catch {
      return null; // a frame of somebody else's
    }
  }
  const airflow = outer();
  if (!airflow) return;
  root.dataset.framed = "";
  // The frame may not navigate its parent, and has the parent's origin: the parent's own link may.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (!link || event.defaultPrevented) return;
    const to = new URL(link.href, location.href);
    const aside = event.ctrlKey || event.metaKey || event.shiftKey;
    if (to.origin === location.origin && to.pathname.startsWith(ours) && !aside) return;
    event.preventDefault();
    const own = airflow.createElement("a");
    own.href = to.href;
    own.rel = "noopener";
    if (aside || to.origin !== location.origin) own.target = "_blank";
    airflow.body.append(own);
    own.click();
    own.remove();
  });
})();
