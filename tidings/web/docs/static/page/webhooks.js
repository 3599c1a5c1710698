// The webhooks that the caller may receive, from the document, each with an example.

import { make, prose } from "./dom.js";
import { coloured, written } from "./json.js";
import { exampleOf } from "./schema.js";

export function drawWebhook(read, name, path) {
  const method = Object.keys(path).find((each) => path[each]?.requestBody || path[each]?.responses) || "post";
  const hook = path[method] || {};
  const box = make("details", { class: "question webhook", id: hook.operationId || `webhook ${name}` });
  const place = make("span", { class: "place" }, make("b", { class: "method hook" }, method.toUpperCase()), " ", make("code", {}, name));
  box.append(make("summary", {}, make("span", { class: "asks" }, hook.summary || name), " ", place));
  box.addEventListener("toggle", () => {
    if (box.open && box.childElementCount === 1) box.append(inside(read, hook));
  });
  return box;
}

function inside(read, hook) {
  const content = Object.values(hook.requestBody?.content || {})[0] || {};
  const example = exampleOf(content) ?? read.sample(content.schema || {});
  const left = make("div", { class: "left" }, prose(hook.description), make("h4", {}, "Headers"), listOf(read, hook.parameters));
  const data = read.plain(read.plain(content.schema || {}).properties?.data || {});
  if (data.properties) left.append(make("h4", {}, "Fields of ", make("code", {}, "data")), propertiesOf(read, data));
  const shown = make("pre", { tabindex: 0, "aria-label": "Example" }, coloured(written(example)));
  const right = make("div", { class: "right" }, make("h4", {}, "Example"), shown);
  return make("div", { class: "inside" }, left, right);
}

function listOf(read, parameters = []) {
  const list = make("ul", { class: "plain" });
  for (const each of parameters) {
    list.append(make("li", {}, make("code", {}, each.name), " ", each.description || read.words(each.schema || {})));
  }
  return list;
}

function propertiesOf(read, schema) {
  const list = make("ul", { class: "plain" });
  for (const [name, each] of Object.entries(schema.properties)) {
    const required = (schema.required || []).includes(name) ? ", always present" : "";
    list.append(make("li", {}, make("code", {}, name), " ", read.words(each) + required));
  }
  return list;
}
