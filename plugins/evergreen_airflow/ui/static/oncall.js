// The inbox and an alert's page: they ask for themselves every few seconds, take over what changed, and send what people do.
"use strict";
(() => {
  const SECONDS = 3;
  const root = document.querySelector("[data-oncall]");
  const { api, me, alert: single } = root.dataset;
  const selected = new Set();
  let current = null;
  let refreshes = 0;

  const rows = () => [...root.querySelectorAll(".row")];
  const row = (id) => root.querySelector(`.row[data-key="${id}"]`);

  // --- what is shown ------------------------------------------------------------------------------------------------

  const written = new WeakMap(); // each element as the server wrote it

  async function refresh() {
    const own = ++refreshes;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (own !== refreshes) return;
      if (answer.status === 401) return location.reload(); // which leads to the login
      if (!answer.ok) throw new Error(answer.status);
      const text = (await answer.text()).replace(/<style[^]*?<\/style>/, ""); // its nonce is not this page's
      const page = new DOMParser().parseFromString(text, "text/html");
      if (own !== refreshes) return; // a later one is under way
      for (const live of root.querySelectorAll("[data-live]")) {
        const fresh = page.querySelector(`[data-live="${live.dataset.live}"]`);
        if (fresh) take(live, fresh);
      }
      document.title = page.title;
      offline(false);
    } catch {
      if (own === refreshes) offline(true);
    }
  }

  function take(live, fresh) {
    const focused = live.contains(document.activeElement) ? document.activeElement : null;
    const focus = focused && { key: focused.closest("[data-key]")?.dataset.key, at: mark(focused) };
    const before = new Map([...live.children].map((child) => [child.dataset.key, child]));
    let place = live.firstElementChild;
    for (const next of [...fresh.children]) {
      const html = next.outerHTML;
      let node = before.get(next.dataset.key);
      before.delete(next.dataset.key);
      if (!node || written.get(node) !== html) {
        const made = document.importNode(next, true);
        written.set(made, html);
        if (node === place && node) place = place.nextElementSibling;
        node?.remove();
        node = made;
      }
      if (node === place) place = place.nextElementSibling;
      else live.insertBefore(node, place);
    }
    for (const gone of before.values()) gone.remove();
    if (focus && !live.contains(document.activeElement)) {
      const host = [...live.children].find((child) => child.dataset.key === focus.key);
      (host?.querySelector(focus.at) ?? host?.querySelector("a, button, input"))?.focus({ preventScroll: true });
    }
    dress();
  }

  function mark(element) {
    if (element.dataset.one) return `[data-one="${element.dataset.one}"]`;
    return element.localName === "input" ? "input" : element.localName;
  }

  function dress() {
    for (const each of rows()) {
      const id = each.dataset.key;
      each.querySelector("input").checked = selected.has(id);
      each.classList.toggle("current", id === current);
    }
    for (const id of selected) if (!row(id)) selected.delete(id);
    const said = document.getElementById("selected");
    if (said) {
      said.textContent = selected.size ? `${selected.size} selected` : "none selected";
      for (const button of root.querySelectorAll("[data-many]")) button.disabled = !selected.size && !current;
      said.closest(".bar").classList.toggle("idle", !selected.size);
      const all = document.getElementById("all");
      all.checked = selected.size > 0 && selected.size === rows().length;
      all.indeterminate = selected.size > 0 && !all.checked;
    }
    ages();
  }

  function ages() {
    for (const age of root.querySelectorAll("[data-age] time")) {
      const minutes = Math.max(0, Math.round((Date.now() - Date.parse(age.dateTime)) / 60000));
      const text = minutes < 1 ? "just now" : minutes < 60 ? `${minutes} min ago`
        : minutes < 2880 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
      if (!age.title) age.title = age.textContent;
      if (age.textContent !== text) age.textContent = text;
    }
  }

  function offline(is) {
    document.getElementById("offline").hidden = !is;
  }

  function say(text, wrong = false) {
    const line = document.createElement("p");
    line.textContent = text;
    if (wrong) line.className = "wrong";
    document.getElementById("said").append(line);
    setTimeout(() => line.remove(), wrong ? 12000 : 5000);
  }

  // --- what people do -----------------------------------------------------------------------------------------------

  const DONE = { acknowledge: "acknowledged", unacknowledge: "given back", snooze: "snoozed", assign: "assigned", take: "taken over",
    resolve: "resolved", comment: "commented on" };

  function targets() {
    if (single) return [{ id: single, revision: Number(root.querySelector("[data-revision]").dataset.revision) }];
    const ids = selected.size ? [...selected] : current ? [current] : [];
    return ids.map(row).filter(Boolean).map(seen);
  }

  const seen = (element) => ({ id: element.dataset.key, revision: Number(element.dataset.revision) });

  async function send(target, act, fields) {
    const body = act === "comment" ? fields : { revision: target.revision, ...fields };
    try {
      const path = act === "take" ? "assign" : act;
      const answer = await fetch(`${api}/${target.id}/${path}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
      const told = await answer.json().catch(() => ({}));
      if (answer.ok) return { ok: true, told };
      const why = Array.isArray(told.detail) ? told.detail.map((each) => each.message).join("; ") : told.detail;
      return { ok: false, why: why || `Airflow answered ${answer.status}.` };
    } catch {
      return { ok: false, why: `Airflow does not answer. Nothing is known of alert ${target.id}; look again.` };
    }
  }

  async function act(name, on, fields = {}) {
    if (!on.length) return say("Select an alert first.", true);
    let done = 0;
    for (const target of on) {
      const { ok, why } = await send(target, name, fields);
      if (ok) done += 1;
      else say(why, true);
    }
    if (done) say(on.length === 1 ? `Alert ${on[0].id} is ${DONE[name]}.` : `${done} alerts are ${DONE[name]}.`);
    if (done === on.length) selected.clear();
    await refresh();
  }

  function start(name, on) {
    if (!on.length) return say("Select an alert first.", true);
    if (name === "acknowledge" || name === "unacknowledge") return act(name, on);
    if (name === "take") return act(name, on, { to: me });
    if (name === "run-again") return ask(on[0]);
    open(name, on);
  }

  let asked = []; // the alerts that the open dialog is about

  function open(name, on) {
    asked = on;
    const dialog = document.getElementById(name);
    dialog.querySelector("form").reset();
    dialog.showModal();
  }

  async function ask(target) {
    const { ok, why, told } = await send(target, "run-again", { dry_run: true });
    if (!ok) return say(why, true), refresh();
    if (!told.cleared.length) return say("Nothing that failed is left to run again.", true);
    open("run-again", [target]);
    document.querySelector("#run-again ul").replaceChildren(...told.cleared.map((each) => {
      const item = document.createElement("li");
      item.textContent = `${each.dag_id} ${each.task_id}${each.map_index < 0 ? "" : ` [${each.map_index}]`}, ${each.run_id}`;
      return item;
    }));
  }

  const later = (hours) => new Date(Date.now() + hours * 3600000).toISOString();

  function tomorrow() {
    const at = new Date();
    at.setDate(at.getDate() + 1);
    at.setHours(9, 0, 0, 0);
    return at.toISOString();
  }

  for (const dialog of root.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const until = button.dataset.hours ? later(Number(button.dataset.hours)) : "tomorrow" in button.dataset ? tomorrow() : null;
      if (until || "close" in button.dataset) dialog.close();
      if (until) act("snooze", asked, { until });
    });
    dialog.querySelector("form").addEventListener("submit", async (event) => {
      const form = event.target;
      if (dialog.id === "help") return;
      if (dialog.id === "snooze") {
        if (!form.until.value) return event.preventDefault(), form.until.focus();
        return act("snooze", asked, { until: new Date(form.until.value).toISOString() });
      }
      if (dialog.id === "resolve") return act("resolve", asked, { reason: form.reason.value });
      if (dialog.id === "assign") return act("assign", asked, { to: form.to.value.trim() });
      const { ok, why, told } = await send(asked[0], "run-again", { dry_run: false });
      say(ok ? `${told.cleared.length} task instances run again.` : why, !ok);
      refresh();
    });
  }

  document.getElementById("comment")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    const { ok, why } = await send({ id: single }, "comment", { text: form.text.value });
    if (ok) form.reset();
    else say(why, true);
    refresh();
  });

  root.addEventListener("click", (event) => {
    const one = event.target.closest("[data-one]"), many = event.target.closest("[data-many]");
    if (one) {
      one.disabled = true; // until the page is fresh
      const host = one.closest(".row");
      start(one.dataset.one, host ? [seen(host)] : targets());
      setTimeout(() => { one.disabled = false; }, 1500);
    } else if (many) start(many.dataset.many, targets());
    else if (event.target.closest("[data-filters]")) {
      event.target.setAttribute("aria-expanded", String(filters.classList.toggle("all")));
    } else if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
  });

  root.addEventListener("change", (event) => {
    if (event.target.id === "all") {
      selected.clear();
      if (event.target.checked) for (const each of rows()) selected.add(each.dataset.key);
    } else if (event.target.closest(".row")) {
      const id = event.target.closest(".row").dataset.key;
      if (event.target.checked) selected.add(id);
      else selected.delete(id);
    } else return;
    dress();
  });

  // --- filters and keys ---------------------------------------------------------------------------------------------

  const filters = document.getElementById("filters");
  let typing = 0;

  function filter() {
    const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
    history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
    refresh();
  }
  filters?.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
  filters?.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(filter, 250); });

  function move(by) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((each) => each.dataset.key === current);
    const next = all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))];
    current = next.dataset.key;
    next.querySelector("h3 a").focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    dress();
  }

  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    o: () => row(current)?.querySelector("h3 a").click(),
    x: () => { if (current) { if (!selected.delete(current)) selected.add(current); dress(); } },
    a: () => start("acknowledge", targets()),
    s: () => start("snooze", targets()),
    r: () => start("resolve", targets()),
    "/": () => filters?.text.focus(),
    "?": () => document.getElementById("help").showModal(),
  };

  addEventListener("keydown", (event) => {
    const typed = event.target.closest?.("input:not([type=checkbox]), textarea, select, dialog");
    if (event.key === "Escape" && typed && !event.target.closest("dialog")) return event.target.blur();
    if (typed || event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
    if (single && "asr".includes(event.key) && !root.querySelector("[data-one=resolve]")) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  // --- from now on --------------------------------------------------------------------------------------------------

  for (const live of root.querySelectorAll("[data-live]")) for (const child of live.children) written.set(child, child.outerHTML);
  dress();
  (function wait() {
    setTimeout(async () => {
      if (!document.hidden) await refresh();
      wait();
    }, SECONDS * 1000);
  })();
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
})();
