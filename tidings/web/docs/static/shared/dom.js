// Nodes are made here. Text from others stays text: no file of this page sets markup.

export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// A sentence in which `this` is code.
export function sentence(tag, text, attributes = {}) {
  const node = make(tag, attributes);
  String(text).split("`").forEach((part, index) => {
    if (part) node.append(index % 2 ? make("code", {}, part) : part);
  });
  return node;
}

// Paragraphs, separated by empty lines.
export function prose(text) {
  const node = make("div", { class: "prose" });
  for (const part of String(text || "").split(/\n\s*\n/)) {
    if (part.trim()) node.append(sentence("p", part.trim()));
  }
  return node;
}

let lastId = 0;

export function newId() {
  lastId += 1;
  return `part-${lastId}`;
}

// Tabs as the ARIA practices have them: arrow keys move, only the chosen one is in the tab order.
// The caller chooses the first.
export function tabs(label, names, onChoose) {
  const list = make("div", { class: "tabs", role: "tablist", "aria-label": label });
  const buttons = names.map((name) => make("button", { type: "button", role: "tab" }, name));
  function choose(index) {
    buttons.forEach((button, each) => {
      button.setAttribute("aria-selected", each === index);
      button.tabIndex = each === index ? 0 : -1;
    });
    onChoose(index);
  }
  buttons.forEach((button, index) => {
    button.addEventListener("click", () => choose(index));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = (index + step + buttons.length) % buttons.length;
      choose(next);
      buttons[next].focus();
    });
  });
  list.append(...buttons);
  return { node: list, choose };
}
