// Airflow's UI loads this on each of its pages: the number at the bell of the navigation entry stays true without a reload.
const SECONDS = 15;
const badge = new URL("../badge.svg", import.meta.url).href;
const bells = new WeakSet(); // whose picture is ours by now

async function refresh() {
  const shown = [...document.images].filter((image) => bells.has(image) || image.src === badge);
  if (document.hidden || !shown.length) return;
  const answer = await fetch(badge, { cache: "no-store" });
  if (!answer.ok) return; // logged out: Airflow's own pages say so
  const drawn = `data:image/svg+xml,${encodeURIComponent(await answer.text())}`;
  for (const image of shown) {
    bells.add(image);
    if (image.src !== drawn) image.src = drawn;
  }
}

const quietly = () => refresh().catch(() => {}); // the server is away: the next time
setInterval(quietly, SECONDS * 1000);
document.addEventListener("visibilitychange", quietly);

globalThis.AirflowPlugin = () => null; // the component that Airflow asks for: it draws nothing
