// One question: a plain sentence that opens to show its form, the same call in three languages, and its response.

import { make, newId, prose, tabs } from "./dom.js";
import { drawAnswer, drawFailure, drawStream } from "./answer.js";
import { drawForm } from "./form.js";
import { linksOf } from "./links.js";
import { ask, BASE, theKey } from "./session.js";
import { LANGUAGES } from "./snippets.js";

const SAID_SECONDS = 2;
const PATIENCE_SECONDS = 1;
let language = 0;
let said;
// By operationId: what opens a question with some of its fields filled in.
const openers = new Map();

export function forgetQuestions() {
  openers.clear();
}

// `question`: { method, path, operation, shared }. Its content is made when it is first opened.
export function drawQuestion(read, question) {
  const { method, path, operation } = question;
  const box = make("details", { class: "question", id: operation.operationId || `${method} ${path}` });
  const badge = make("b", { class: `method ${method.toLowerCase()}` }, method);
  const place = make("span", { class: "place" }, badge, " ", make("code", {}, path));
  box.append(make("summary", {}, make("span", { class: "asks" }, operation.summary || path), " ", place));
  let drawn = null;
  const draw = () => {
    if (drawn) return;
    drawn = inside(read, question);
    box.append(drawn.node);
  };
  box.addEventListener("toggle", () => box.open && draw());
  openers.set(operation.operationId, (values) => {
    draw();
    box.open = true;
    for (const [name, value] of values) drawn.form.fields.find((one) => one.name === name)?.show(value);
    drawn.code.update();
    box.scrollIntoView();
    box.querySelector(".try").focus({ preventScroll: true });
  });
  return box;
}

function inside(read, question) {
  const { operation } = question;
  const form = drawForm(read, question, BASE);
  const code = codeOf(() => ({ ...form.request(), withKey: theKey() !== "" }));
  const tried = tryOf(question, form, code);
  const node = make("form", { class: "inside", novalidate: true, autocomplete: "off" });
  const left = make("div", { class: "left" }, prose(operation.description));
  if (operation["x-scope"]) left.append(make("p", { class: "hint" }, "A key needs the scope ", make("code", {}, operation["x-scope"])));
  left.append(form.node);
  const right = make("div", { class: "right" }, code.node, tried.node);
  node.append(left, right);
  for (const kind of ["input", "change"]) node.addEventListener(kind, code.update);
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    tried.run();
  });
  fillReferences(form.body);
  return { node, form, code };
}

// A reference must point to an existing item, so the newest one replaces the example.
async function fillReferences(body) {
  for (const one of body?.fields || []) {
    const example = one.value();
    if (one.leadsTo === undefined || example === undefined) continue;
    const found = one.leadsTo ? await newest(one.leadsTo).catch(() => undefined) : undefined;
    // Somebody may have typed something in the meantime.
    if (one.value() !== example) continue;
    one.show(found);
    one.node.dispatchEvent(new Event("input", { bubbles: true }));
    const where = one.leadsTo ? `in ${one.leadsTo}` : "that exists";
    if (found === undefined) one.complain(`Enter the id of an item ${where}; none was found automatically.`);
  }
}

// The id of an item of a collection. An operator's key prefers items without a tenant, because new items have none by default.
async function newest(name) {
  for (const whose of ["&tenant=", ""]) {
    const answer = await ask(new URL(`v1/items/${name}?limit=1&fields=id${whose}`, BASE).href);
    const id = answer.ok ? (await answer.json()).data?.[0]?.id : undefined;
    if (id !== undefined) return id;
  }
  return undefined;
}

function codeOf(request) {
  const id = newId();
  const shown = make("pre", { class: "code", id, tabindex: 0, "aria-label": "The call as code" });
  const copy = make("button", { type: "button", class: "copy" }, "Copy");
  const update = () => (shown.textContent = LANGUAGES[language][1](request()));
  const choice = tabs("Language", LANGUAGES.map(([name]) => name), (index) => {
    language = index;
    update();
  });
  choice.choose(language);
  copy.addEventListener("click", () => copyText(shown, copy));
  // Another question may have chosen another language since.
  choice.node.addEventListener("focusin", update);
  return { node: make("div", { class: "snippet" }, make("div", { class: "row" }, choice.node, copy), shown), update };
}

async function copyText(shown, button) {
  try {
    await navigator.clipboard.writeText(shown.textContent);
  } catch {
    // Without HTTPS there is no clipboard for scripts; the selection can be copied.
    getSelection().selectAllChildren(shown);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  clearTimeout(said);
  said = setTimeout(() => (button.textContent = "Copy"), SAID_SECONDS * 1000);
}

function tryOf({ operation }, form, code) {
  const button = make("button", { type: "submit", class: "try" }, "Try it");
  const stop = make("button", { type: "button", class: "stop", hidden: true }, "Stop");
  const note = make("span", { class: "hint" });
  const answer = make("section", { class: "answer", "aria-label": "Response", hidden: true });
  const node = make("div", {}, make("div", { class: "row run" }, button, stop, note), answer);
  const first = form.request();
  note.textContent = first.method === "GET" ? "" : "This is a real call: it changes data on the server.";
  async function run(change = null) {
    change?.();
    code.update();
    if (button.disabled || !form.check()) return;
    button.disabled = true;
    answer.hidden = false;
    const control = new AbortController();
    stop.onclick = () => control.abort();
    const slow = setTimeout(() => (stop.hidden = false), first.stream ? 0 : PATIENCE_SECONDS * 1000);
    try {
      const { status, value } = await send(form, answer, control.signal);
      answer.append(nextSteps(operation, form, { status, value, run }));
    } catch (wrong) {
      if (!control.signal.aborted) drawFailure(answer, `No response: ${wrong.message}.`);
      else if (!first.stream) drawFailure(answer, "Stopped. The server may have carried out the call anyway.");
    }
    clearTimeout(slow);
    stop.hidden = true;
    button.disabled = false;
  }
  return { node, run };
}

async function send(form, box, signal) {
  const { method, url, headers, body } = form.request();
  box.setAttribute("aria-busy", "true");
  try {
    const start = performance.now();
    const answer = await ask(url, { method, headers, body, signal });
    if ((answer.headers.get("Content-Type") || "").startsWith("text/event-stream")) return { value: await drawStream(box, answer) };
    const value = await drawAnswer(box, answer, Math.round(performance.now() - start));
    if (!answer.ok) point(form, value?.errors || []);
    return { status: answer.status, value };
  } finally {
    box.removeAttribute("aria-busy");
  }
}

// Shows the server's errors at the fields themselves.
function point(form, places) {
  for (const { parameter, pointer, detail } of places) {
    const name = pointer?.split("/")[1]?.replaceAll("~1", "/").replaceAll("~0", "~");
    const inUrl = parameter !== undefined && parameter !== null;
    const fields = inUrl ? form.fields : form.body?.fields || [];
    fields.find((each) => each.name === (inUrl ? parameter : name))?.complain(String(detail || ""));
  }
}

// What can follow a response: the next page, and the questions that its links name.
function nextSteps(operation, form, { status, value, run }) {
  const row = make("div", { class: "row next" });
  const cursor = form.fields.find((each) => each.name === "cursor" && each.where === "query");
  if (value?.next_cursor && cursor) row.append(step("Next page", () => run(() => cursor.show(value.next_cursor))));
  for (const link of linksOf(operation, status, { body: value, fields: form.fields })) {
    const open = openers.get(link.operationId);
    if (open) row.append(step(link.description || link.operationId, () => open(link.values)));
  }
  return row.childElementCount ? row : "";
}

function step(text, go) {
  const button = make("button", { type: "button" }, text);
  button.addEventListener("click", go);
  return button;
}
