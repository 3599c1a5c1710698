// The form of one question: a field for each parameter, the body, and the request that results.

import { make } from "./dom.js";
import { drawBody, isJson } from "./body.js";
import { field, moreWords } from "./fields.js";
import { exampleOf } from "./schema.js";

// Parameters of nearly every list or change; kept separate, so that a question's own parameters come first.
const HABITS = ["limit", "cursor", "sort", "count", "fields"];
const PLACES = ["path", "query", "header"];

// `question`: { method, path, operation, shared } of the document; `base`: the URL that its paths are below.
export function drawForm(read, question, base) {
  const own = make("div", { class: "fields" });
  const comparisons = make("div", { class: "fields" });
  const more = make("div", { class: "fields" });
  const parameters = parametersOf(read, question);
  const fields = parameters.map((parameter) => {
    const schema = { ...(parameter.schema || {}) };
    const one = field(read, {
      name: parameter.name,
      schema,
      help: parameter.description,
      required: parameter.in === "path" || parameter.required === true,
      place: parameter.in,
      example: exampleOf(parameter),
    });
    (one.required ? own : isHabit(parameter) ? more : isComparison(parameter, parameters) ? comparisons : own).append(one.node);
    return { ...one, where: parameter.in, explode: parameter.explode ?? parameter.in === "query", schema };
  });
  const body = question.operation.requestBody ? drawBody(read, follow(read, question.operation.requestBody)) : null;
  const node = make("div", { class: "form" });
  if (own.childElementCount) node.append(own);
  if (body) node.append(body.node);
  for (const [box, words] of [[comparisons, "more ways to compare"], [more, "more"]]) {
    if (box.childElementCount) node.append(make("details", { class: "more" }, make("summary", {}, moreWords(box, words)), box));
  }
  return { node, fields, body, request: () => request(question, base, fields, body), check: () => check(fields, body) };
}

function follow(read, thing) {
  return thing.$ref ? read.at(thing.$ref) : thing;
}

// The operation's parameters after those of its path, which it may replace; those that a page cannot send are left out.
function parametersOf(read, { operation, shared }) {
  const found = new Map();
  for (const each of [...(shared || []), ...(operation.parameters || [])]) {
    const parameter = follow(read, each);
    if (PLACES.includes(parameter.in)) found.set(`${parameter.in} ${parameter.name}`, parameter);
  }
  const rank = (parameter) => PLACES.indexOf(parameter.in) - (parameter.required ? 10 : 0);
  return [...found.values()].sort((one, other) => rank(one) - rank(other));
}

// `price__gte` next to `price`: a list has dozens of these, which would bury its plain filters.
function isComparison({ name }, parameters) {
  const field = name.split("__")[0];
  return name !== field && parameters.some((other) => other.name === field);
}

function isHabit(parameter) {
  return parameter.in === "header" || HABITS.includes(parameter.name);
}

// The request as it would be sent now. `headers` are without the key.
function request({ method, path, operation }, base, fields, body) {
  const query = [];
  const headers = [];
  const missing = [];
  for (const one of fields) {
    const text = one.text();
    if (text === undefined && one.where === "path") missing.push(one.name);
    if (text === undefined) continue;
    if (one.where === "path") path = path.replaceAll(`{${one.name}}`, () => encoded(text));
    else if (one.where === "header") headers.push([one.name, text]);
    else query.push(...pairs(one, text));
  }
  const text = body ? body.text() : "";
  const sent = text.trim() ? text : null;
  if (sent !== null) headers.push(["Content-Type", body.media]);
  let url = new URL(path.slice(1), base).href + (query.length ? `?${query.join("&")}` : "");
  // What still has to be filled in appears as the document writes it.
  for (const name of missing) url = url.replaceAll(`%7B${encodeURIComponent(name)}%7D`, () => `{${name}}`);
  return { method, url, headers, body: sent, isJson: Boolean(body && isJson(body.media)), stream: isStream(operation) };
}

// A list repeats its parameter, because its values may contain commas, unless the document says to join them with commas.
function pairs(one, text) {
  const texts = one.texts?.() ?? [text];
  const values = one.explode ? texts.map(encoded) : [texts.map(encoded).join(",")];
  return values.map((value) => `${encoded(one.name)}=${value}`);
}

// All but letters, digits and -._~, as browsers, curl and shells agree on it.
function encoded(text) {
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

export function isStream(operation) {
  return Object.values(operation.responses || {}).some((answer) => answer.content?.["text/event-stream"]);
}

// Shows at each field what is missing or cannot be read; true if nothing is. The server checks everything else.
function check(fields, body) {
  let first = null;
  for (const one of [...fields, ...(body?.fields || [])]) {
    const missing = one.where && one.required && one.text() === undefined ? "This is required." : "";
    const said = one.broken?.() || missing;
    one.complain(said);
    if (said) first ||= one;
  }
  if (first) {
    first.node.closest("details.more")?.setAttribute("open", "");
    first.focus();
  }
  return first === null;
}
