// The body of a question: its fields one by one, or the whole as JSON. The JSON text is what is sent.

import { make, newId, tabs } from "./dom.js";
import { field, moreWords } from "./fields.js";
import { parsed, pretty, written } from "./json.js";
import { exampleOf } from "./schema.js";

const LINES_MAX = 24;

export function drawBody(read, requestBody) {
  const [media, content] = mediaOf(requestBody);
  const schema = read.plain(content.schema || {});
  const id = newId();
  const text = make("textarea", { id, class: "json", spellcheck: "false", "aria-describedby": `${id}-wrong` });
  const wrong = make("p", { class: "wrong", id: `${id}-wrong`, role: "alert", hidden: true });
  const whole = make("div", { class: "field" }, make("label", { for: id }, `Body, as ${media}`), text, wrong);
  const filled = fill(read, requestBody, content, media);
  text.value = filled;
  text.rows = Math.min(LINES_MAX, Math.max(4, filled.split("\n").length + 1));
  const names = Object.entries(schema.properties || {}).filter(([, each]) => !read.plain(each).readOnly);
  const body = { node: make("div", { class: "body" }), media, fields: [], text: () => text.value };
  body.complain = (said) => {
    wrong.hidden = !said;
    wrong.textContent = said || "";
  };
  text.addEventListener("input", () => body.complain(""));
  if (names.length && isJson(media)) inFields(read, body, { schema, names, whole, text });
  else body.node.append(whole);
  return body;
}

function mediaOf(requestBody) {
  const all = Object.entries(requestBody.content || {});
  return all.find(([media]) => isJson(media)) || all[0] || ["application/json", {}];
}

export function isJson(media) {
  return /[/+]json\b/.test(media);
}

// The initial body: the example, or what the schema requires. An optional body without an example stays empty.
function fill(read, requestBody, content, media) {
  const example = exampleOf(content);
  if (example !== undefined) return isJson(media) ? written(example) : String(example);
  if (!isJson(media) || !requestBody.required) return "";
  return written(read.sample(content.schema || {}));
}

function inFields(read, body, { schema, names, whole, text }) {
  const given = valueOf(text.value) || {};
  const shown = make("div", { class: "fields" });
  const more = make("div", { class: "fields" });
  for (const [name, each] of names) {
    const required = (schema.required || []).includes(name);
    const one = field(read, { name, schema: each, required, place: "body" });
    one.show(given[name]);
    one.node.addEventListener("input", () => put(text, one));
    one.node.addEventListener("change", () => put(text, one));
    body.fields.push({ ...one, leadsTo: read.plain(each)["x-reference"] });
    (required || name in given || names.length <= 6 ? shown : more).append(one.node);
  }
  const parts = make("div", {}, shown);
  if (more.childElementCount) {
    parts.append(make("details", { class: "more" }, make("summary", {}, moreWords(more)), more));
  }
  const choice = tabs("The format of the body", ["Fields", "JSON"], (index) => {
    whole.hidden = index === 0;
    parts.hidden = index === 1;
    if (index === 0) refresh(body, text, choice);
  });
  choice.choose(0);
  body.node.append(make("div", { class: "row" }, make("h4", {}, "Body"), choice.node), parts, whole);
}

// Writes one field into the text, and keeps the rest.
function put(text, one) {
  const now = valueOf(text.value);
  const value = one.value();
  if (value === undefined && one.broken?.()) return;
  const next = now && typeof now === "object" && !Array.isArray(now) ? now : {};
  if (value === undefined) delete next[one.name];
  else Object.defineProperty(next, one.name, { value, enumerable: true, configurable: true, writable: true });
  text.value = written(next);
}

// Fills in the fields from the text. If that is not JSON, the text stays visible, with an error.
function refresh(body, text, choice) {
  try {
    if (text.value.trim()) pretty(text.value);
  } catch (wrong) {
    choice.choose(1);
    body.complain(`This is not valid JSON: ${wrong.message}`);
    return;
  }
  const now = valueOf(text.value) || {};
  body.fields.forEach((one) => one.show(Object.hasOwn(now, one.name) ? now[one.name] : undefined));
}

function valueOf(text) {
  try {
    return parsed(text);
  } catch {
    return undefined;
  }
}
