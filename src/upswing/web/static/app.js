// Comfort on top of pages that work without it: keys, menus, growing lists, tidy addresses, suggestions, charts.
import { suggest } from "./suggest.js";

const own = document.querySelector("script[data-charts]").dataset;

document.addEventListener("keydown", keys);
document.addEventListener("click", closeMenus);
document.addEventListener("formdata", tidy);
document.addEventListener("input", grow);
document.addEventListener("click", removeStep);
document.addEventListener("htmx:after:swap", prepare);
document.addEventListener("htmx:after:settle", prepare);
prepare();
progress();
suggest(document);

function prepare() {
  for (const steps of document.querySelectorAll("[data-grows]")) {
    const least = Number(steps.dataset.least ?? 2);
    for (const button of steps.querySelectorAll("[data-remove]")) {
      button.hidden = button.closest("li").classList.contains("blank") || steps.querySelectorAll("li").length <= least;
    }
  }
  for (const go of document.querySelectorAll("[data-question] > .go")) go.hidden = true; // changes ask by themselves
  if (document.querySelector("upswing-chart") && !customElements.get("upswing-chart")) afterLoading(charts);
}

// The still drawings are complete: the library for lively ones waits until the page is there.
function charts() {
  import(own.draw).then(({ define }) => { if (!customElements.get("upswing-chart")) define(own.charts); });
}

function afterLoading(work) {
  if (document.readyState === "complete") work();
  else addEventListener("load", () => (window.requestIdleCallback ?? setTimeout)(work), { once: true });
}

// "g" then a letter opens a page; "/", "." and "?" open what stands at the top.
let going = 0;
function keys(event) {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") return escape(typing);
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (Date.now() - going < 1200) {
    going = 0;
    const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  const does = {
    "g": () => { going = Date.now(); },
    "/": () => document.getElementById("q").focus(),
    ".": () => open("range"),
    "?": () => document.getElementById("help").showModal(),
  }[event.key];
  if (does) { event.preventDefault(); does(); }
}

function open(id) {
  const menu = document.getElementById(id);
  menu.open = true;
  menu.querySelector("input:not([type=hidden]), select")?.focus();
}

function escape(typing) {
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
  if (typing && typing.id === "q") typing.blur();
}

function closeMenus(event) {
  for (const menu of document.querySelectorAll("[data-menu][open]")) if (!menu.contains(event.target)) menu.open = false;
}

// Addresses hold what was said and nothing else.
function tidy(event) {
  if (!event.target.matches("[data-tidy]")) return;
  const kept = [...event.formData.entries()].filter(([, value]) => value !== "");
  for (const key of [...new Set(event.formData.keys())]) event.formData.delete(key);
  for (const [key, value] of kept) event.formData.append(key, value);
}

// A list of steps always ends with a blank one.
function grow(event) {
  const item = event.target.closest("[data-grows] li.blank, [data-grows] li:last-child");
  if (!item || !event.target.value || item.nextElementSibling) return;
  const next = item.cloneNode(true);
  const number = item.parentElement.children.length + 1;
  const input = next.querySelector("input");
  input.value = "";
  input.id = `${input.name}-${number}`;
  input.removeAttribute("aria-activedescendant");
  next.querySelector("label").htmlFor = input.id;
  next.querySelector("label").textContent = next.querySelector("label").textContent.replace(/\d+/, number);
  next.classList.add("blank");
  item.classList.remove("blank");
  item.after(next);
  prepare();
}

function removeStep(event) {
  const button = event.target.closest("[data-remove]");
  if (!button) return;
  const form = button.closest("form");
  button.closest("li").remove();
  prepare();
  form.dispatchEvent(new Event("change", { bubbles: true }));
}

// While an answer is on its way: how long already, how far, and a way to give it up. A question of a form shows it beside
// the form and leaves the answer before in its place; a part of a page that waits (data-waiting) shows it inside.
function progress() {
  const waits = new Map(); // who asked -> { mark, timer }
  const asks = (element) => element.matches?.("[data-question], [data-waiting]");
  const place = (asker) => asker.matches("[data-question]") ? document.getElementById("progress") : asker.querySelector(".progress");
  document.addEventListener("htmx:config:request", (event) => {
    const asker = event.target;
    if (!asks(asker)) return;
    const mark = asker.dataset.waiting || (crypto.randomUUID?.() ?? String(Math.random()));
    clearInterval(waits.get(asker)?.timer);
    waits.set(asker, { mark });
    event.detail.ctx.request.headers["X-Ask"] = mark;
  });
  document.addEventListener("htmx:before:request", (event) => {
    const wait = waits.get(event.target);
    if (!wait) return;
    const since = performance.now();
    const out = place(event.target)?.querySelector("output");
    let share = null, ticks = 0;
    wait.timer = setInterval(async () => {
      const seconds = (performance.now() - since) / 1000;
      if (out) out.textContent = `${seconds.toFixed(1)} s${share === null ? "" : ` · ${Math.round(100 * share)}%`}`;
      if (seconds < 1 || ++ticks % 5) return;
      const answer = await fetch(`/-/asked/${wait.mark}`);
      if (answer.ok) share = (await answer.json()).progress;
    }, 100);
  });
  document.addEventListener("htmx:finally:request", (event) => {
    clearInterval(waits.get(event.target)?.timer);
    waits.delete(event.target);
  });
  document.addEventListener("click", (event) => {
    const shown = event.target.closest("[data-cancel]")?.closest(".progress");
    const [asker, wait] = [...waits].find(([one]) => shown && place(one) === shown) ?? [];
    if (!asker) return;
    fetch(`/-/asked/${wait.mark}`, { method: "POST", body: new URLSearchParams({ token: shown.dataset.token }) });
    if (asker.matches("[data-question]")) htmx.trigger(asker, "htmx:abort"); // what waits inside is told by its answer
  });
}
