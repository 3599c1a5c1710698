// One field of a form, drawn from a JSON Schema. `text()` is the value in a URL or a header, `value()` the one in a
// body; undefined if it is left out. `show(value)` fills it in, `complain(text)` shows what is wrong with it.

import { make, newId, sentence } from "./dom.js";
import { parsed, written } from "./json.js";

const LONG_TEXT = 300;
const LINES_MIN = 3;
const LINES_MAX = 14;

// `place`: in a URL, a list is written with one value per line; in a body, it is JSON. `texts()`: a list's values.
export function field(read, { name, schema, help, required, place, example }) {
  const it = read.plain(schema);
  const control = controlFor(read, it, place, required);
  const id = newId();
  const first = control.inputs[0];
  first.id = id;
  first.setAttribute("aria-describedby", `${id}-help ${id}-wrong`);
  if (required) control.inputs.forEach((input) => input.type !== "checkbox" && input.setAttribute("aria-required", "true"));
  // A path must name something that exists, and an example does not: it only shows what an id looks like.
  const isOnlyShown = !required || place === "path";
  if (control.free && example !== undefined && isOnlyShown) first.placeholder = plainText(example);
  const wrong = make("p", { class: "wrong", id: `${id}-wrong`, role: "alert", hidden: true });
  const node = make(
    control.group ? "fieldset" : "div",
    { class: "field", "data-field": name },
    labelOf(read, { name, it, required, id: control.group ? null : id }),
    control.node,
    helpOf(help ?? it.description, it, id),
    wrong,
  );
  if (example !== undefined && !isOnlyShown) control.show(example);
  function complain(text) {
    wrong.hidden = !text;
    wrong.textContent = text || "";
    control.inputs.forEach((input) => (text ? input.setAttribute("aria-invalid", "true") : input.removeAttribute("aria-invalid")));
  }
  node.addEventListener("input", () => complain(""));
  return { ...control, name, required, node, complain, focus: () => first.focus() };
}

const NAMES_MAX = 8;

// What a closed box of fields contains.
export function moreWords(box, words = "more") {
  const names = [...box.children].map((child) => child.dataset.field);
  const rest = names.length > NAMES_MAX ? " ..." : "";
  return `${names.length} ${names.length === 1 ? words.replace("ways", "way") : words}: ${names.slice(0, NAMES_MAX).join(", ")}${rest}`;
}

function labelOf(read, { name, it, required, id }) {
  const label = make(id ? "label" : "legend", { for: id }, make("code", {}, name));
  label.append(" ", make("span", { class: "kind" }, read.words(it)));
  if (required) label.append(" ", make("span", { class: "required" }, "required"));
  return label;
}

function helpOf(help, it, id) {
  const parts = [help, it.default !== undefined && it.default !== null ? `Default: \`${plainText(it.default)}\`.` : ""];
  const text = parts.filter((part) => part && !(part.startsWith("Default:") && help?.includes("Default:"))).join(" ");
  return sentence("p", text, { class: "help", id: `${id}-help`, hidden: !text });
}

function plainText(value) {
  if (Array.isArray(value)) return value.map(plainText).join(",");
  return value !== null && typeof value === "object" ? JSON.stringify(value) : String(value);
}

function controlFor(read, it, place, required) {
  const items = it.type === "array" ? read.plain(it.items || {}) : null;
  if (it.const !== undefined) return choice([it.const], required);
  if (it.enum) return choice(it.enum.filter((value) => value !== null), required);
  if (it.type === "boolean") return choice([true, false], required);
  if (items?.enum && it.maxItems === 1) return choice(items.enum, required, (value) => [value]);
  if (items?.enum && items.enum.length <= LONG_TEXT) return several(items.enum);
  if (place !== "body" && it.type === "array") return lines(items);
  if (it.type === "integer" || it.type === "number") return number(it);
  if (it.type === "string" && it.format === "date") return typed("date", { min: it.formatMinimum }, String);
  if (it.type === "string" && it.format === "date-time") return moment();
  if (it.type === "string" && it.format === "decimal") return typed("text", { spellcheck: "false", inputmode: "decimal" }, String);
  if (it.type === "string" && place === "body" && isLong(it)) return area("", String);
  if (it.type === "string" || place !== "body") return typed("text", { spellcheck: "false" }, String);
  return json();
}

function choice(values, required, wrap = (value) => value) {
  const select = make("select", {}, make("option", { value: "" }, required ? "choose ..." : "none"));
  values.forEach((value, index) => select.append(make("option", { value: index }, plainText(value))));
  const chosen = () => (select.value === "" ? undefined : values[Number(select.value)]);
  return {
    node: select,
    inputs: [select],
    text: () => (chosen() === undefined ? undefined : plainText(chosen())),
    value: () => (chosen() === undefined ? undefined : wrap(chosen())),
    show: (value) => {
      const index = values.findIndex((each) => plainText(each) === plainText(value));
      select.value = index < 0 ? "" : String(index);
    },
  };
}

function several(values) {
  const boxes = values.map((value) => make("input", { type: "checkbox", value: plainText(value) }));
  const node = make("div", { class: "several" });
  boxes.forEach((box, index) => node.append(make("label", {}, box, " ", plainText(values[index]))));
  const chosen = () => values.filter((value, index) => boxes[index].checked);
  return {
    node,
    inputs: boxes,
    group: true,
    text: () => (chosen().length ? chosen().map(plainText).join(",") : undefined),
    texts: () => chosen().map(plainText),
    value: () => (chosen().length ? chosen() : undefined),
    show: (value) => boxes.forEach((box) => (box.checked = [value].flat().map(plainText).includes(box.value))),
  };
}

// One value per line; values that are not strings can also be separated by commas.
function lines(items) {
  const control = area("", String);
  const ends = items.type === "string" && !items.format ? /\r?\n/ : /\r?\n|,/;
  const texts = () => control.node.value.split(ends).filter(Boolean);
  control.node.title = "One value per line";
  return {
    ...control,
    text: () => (texts().length ? texts().join(",") : undefined),
    texts,
    value: () => (texts().length ? texts() : undefined),
    show: (value) => (control.node.value = [value ?? []].flat().map(plainText).join("\n")),
  };
}

function typed(type, attributes, convert) {
  return valued(make("input", { type, autocomplete: "off", ...attributes }), convert);
}

function area(kind, convert) {
  return valued(make("textarea", { rows: kind ? LINES_MIN : 2, spellcheck: "false", class: kind }), convert);
}

function valued(input, convert) {
  return {
    node: input,
    inputs: [input],
    free: true,
    text: () => input.value || undefined,
    value: () => (input.value ? convert(input.value) : undefined),
    show: (value) => (input.value = value === undefined || value === null ? "" : plainText(value)),
    broken: () => (input.validity.badInput ? "This value is incomplete or not valid." : ""),
  };
}

function number(it) {
  const step = it.multipleOf ?? (it.type === "integer" ? 1 : "any");
  return typed("number", { min: it.minimum, max: it.maximum, step, inputmode: "decimal" }, parsed);
}

// The browser's picker has no time zones: it shows UTC.
function moment() {
  const control = typed("datetime-local", { step: 1 }, String);
  const input = control.node;
  const text = () => (input.value ? input.value + (input.value.length === 16 ? ":00Z" : "Z") : undefined);
  const show = (value) => {
    const time = new Date(value ?? NaN);
    input.value = Number.isNaN(time.getTime()) ? "" : time.toISOString().slice(0, 19);
  };
  return { ...control, free: false, text, value: text, show };
}

// A text of several lines needs a textarea: an input would drop the line breaks, and so spoil a certificate.
function isLong(it) {
  const lines = !it.pattern || new RegExp(it.pattern, "u").test("a\nb");
  return (it.maxLength ?? 0) > LONG_TEXT && it.format === undefined && lines;
}

function json() {
  const control = area("json", parsed);
  const broken = () => {
    try {
      if (control.node.value.trim()) JSON.parse(control.node.value);
      return "";
    } catch (wrong) {
      return `This is not valid JSON: ${wrong.message}`;
    }
  };
  return {
    ...control,
    broken,
    show: (value) => {
      control.node.value = value === undefined ? "" : written(value);
      control.node.rows = Math.min(LINES_MAX, Math.max(LINES_MIN, control.node.value.split("\n").length + 1));
    },
    value: () => (broken() || !control.node.value.trim() ? undefined : control.value()),
  };
}
