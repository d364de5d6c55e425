// Suggestions while an event, a property or a condition is written; arrows choose, Enter and Tab take, Escape closes.
let list, field, chosen = -1, timer = 0, asked = 0;

export function suggest(root) {
  root.addEventListener("focusin", (event) => { if (event.target.matches?.("[data-suggest]")) begin(event.target); });
  root.addEventListener("input", (event) => { if (event.target === field) ask(); });
  root.addEventListener("keydown", steer, true);
  root.addEventListener("focusout", (event) => { if (event.target === field) setTimeout(close, 120); });
}

function begin(target) {
  field = target;
  field.removeAttribute("list"); // the browser's own list gives way to ours
  field.setAttribute("role", "combobox");
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("aria-expanded", "false");
  ask();
}

function ask() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const mine = ++asked, target = field;
    const query = new URLSearchParams({ kind: target.dataset.suggest, q: target.value });
    const answer = await fetch(`/-/suggest?${query}`);
    if (!answer.ok || mine !== asked || document.activeElement !== target) return;
    show(await answer.json());
  }, 90);
}

function show(found) {
  close();
  if (!found.length) return;
  list = document.createElement("ul");
  list.className = "suggestions";
  list.id = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", field.labels?.[0]?.textContent.trim() || field.name);
  found.forEach((one, i) => {
    const item = document.createElement("li");
    item.id = `suggestion-${i}`;
    item.setAttribute("role", "option");
    item.dataset.value = one.value;
    for (const text of [one.label, one.note]) {
      const part = document.createElement("span");
      part.textContent = text;
      item.append(part);
    }
    item.addEventListener("mousedown", (event) => { event.preventDefault(); take(one.value); });
    list.append(item);
  });
  const at = field.getBoundingClientRect();
  list.style.left = `${at.left + scrollX}px`;
  list.style.top = `${at.bottom + scrollY}px`;
  list.style.minWidth = `${at.width}px`;
  document.body.append(list);
  field.setAttribute("aria-expanded", "true");
  field.setAttribute("aria-controls", "suggestions");
}

function steer(event) {
  if (event.target !== field || !list) return;
  const items = [...list.children];
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length;
    items.forEach((item, i) => item.setAttribute("aria-selected", String(i === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", items[chosen].id);
  } else if ((event.key === "Enter" || event.key === "Tab") && chosen >= 0) {
    event.preventDefault();
    take(items[chosen].dataset.value);
  } else if (event.key === "Escape") {
    event.stopPropagation();
    close();
  }
}

function take(value) {
  field.value = value;
  close();
  field.dispatchEvent(new Event("input", { bubbles: true }));
  if (value.endsWith("= ")) return; // a condition is not finished yet
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

function close() {
  list?.remove();
  list = undefined;
  chosen = -1;
  field?.setAttribute("aria-expanded", "false");
  field?.removeAttribute("aria-activedescendant");
  field?.removeAttribute("aria-controls");
}
