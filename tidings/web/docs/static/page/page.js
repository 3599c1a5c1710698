// The page: once a key is entered, its document is fetched, and everything below is drawn from it.

import { make, prose } from "./dom.js";
import { limitsIn } from "./limits.js";
import { drawQuestion, forgetQuestions } from "./question.js";
import { reader } from "./schema.js";
import { onAnswer, setKey, theDocument, theKey } from "./session.js";
import { drawWebhook } from "./webhooks.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const at = (id) => document.getElementById(id);

// Groups of the document: [{ name, about, questions }], in the order of its tags.
function groupsOf(whole) {
  const groups = new Map((whole.tags || []).map((tag) => [tag.name, { name: tag.name, about: tag.description, questions: [] }]));
  for (const [path, methods] of Object.entries(whole.paths || {})) {
    for (const method of METHODS) {
      const operation = methods[method];
      if (!operation || operation["x-internal"]) continue;
      const tag = operation.tags?.[0] || "Others";
      if (!groups.has(tag)) groups.set(tag, { name: tag, questions: [] });
      groups.get(tag).questions.push({ method: method.toUpperCase(), path, operation, shared: methods.parameters });
    }
  }
  return [...groups.values()].filter((group) => group.questions.length);
}

async function show() {
  const had = theKey();
  at("said").textContent = "Loading ...";
  at("limits").replaceChildren();
  const { document: whole, problem, isWrong } = await theDocument();
  if (had !== theKey()) return;
  at("questions").replaceChildren();
  at("groups").replaceChildren();
  at("forget").hidden = !had;
  at("bar").hidden = Boolean(problem);
  at("who").replaceChildren();
  if (problem) {
    at("said").textContent = problem.detail || "The document could not be read.";
    at("key").setAttribute("aria-invalid", "true");
    // It stays visible so that it can be corrected, but is not stored: a reload starts without it.
    if (isWrong) setKey("");
    return;
  }
  at("key").removeAttribute("aria-invalid");
  draw(whole);
}

function draw(whole) {
  const read = reader(whole);
  forgetQuestions();
  const groups = groupsOf(whole);
  for (const group of groups) section(group.name, group.about, group.questions.map((question) => drawQuestion(read, question)));
  const hooks = Object.entries(whole.webhooks || {}).map(([name, path]) => drawWebhook(read, name, read.plain(path)));
  if (hooks.length) {
    section("Webhooks you may receive", "Calls that Tidings makes to the URLs you have registered.", hooks);
  }
  const count = groups.reduce((sum, group) => sum + group.questions.length, 0);
  const calls = count === 1 ? "1 call" : `${count} different calls`;
  at("said").textContent = theKey()
    ? `This key may make ${calls}.`
    : `${calls} ${count === 1 ? "needs" : "need"} no key. Enter yours to see what it may do.`;
  at("who").replaceChildren(...whose(whole["x-key"]));
  if (theKey() && !at("limits").childElementCount) at("limits").append(make("span", { class: "hint" }, "No call limit"));
  filter();
  openNamed();
}

function section(name, about, cards) {
  const id = `group-${at("groups").childElementCount + 1}`;
  const heading = make("h2", { id, tabindex: -1 }, name, " ", make("small", {}, String(cards.length)));
  at("questions").append(make("section", { class: "group", "aria-labelledby": id }, heading, about ? prose(about) : null, ...cards));
  at("groups").append(make("a", { href: `#${id}` }, name, " ", make("small", {}, String(cards.length))));
}

// Whose key it is, as far as the document says.
function whose(key) {
  if (!key) return [];
  const parts = [make("b", {}, key.name || key.id || "A key without a name")];
  if (key.tenant) parts.push("of the tenant ", make("b", {}, key.tenant));
  if (key.expires) parts.push(`valid until ${String(key.expires).slice(0, 10)}`);
  return parts.flatMap((part, index) => (index && !String(parts[index - 1]).endsWith("tenant ") ? [", ", part] : [part]));
}

// Shows only questions that contain every word of the filter.
function filter() {
  const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const group of document.querySelectorAll("section.group")) {
    const about = group.querySelector("h2").textContent;
    const cards = [...group.querySelectorAll("details.question")];
    for (const card of cards) {
      const text = `${about} ${card.querySelector("summary").textContent}`.toLowerCase();
      card.hidden = !words.every((word) => text.includes(word));
      shown += card.hidden ? 0 : 1;
    }
    group.hidden = cards.every((card) => card.hidden);
  }
  at("found").textContent = words.length ? `${shown} found` : "";
}

// Opens the question that the address names, so that a link can point at one.
function openNamed() {
  const named = location.hash.slice(1);
  const card = [...document.querySelectorAll("details.question")].find((each) => [each.id, encodeURIComponent(each.id)].includes(named));
  if (card) {
    card.open = true;
    card.scrollIntoView();
  }
}

function start() {
  const failed = (wrong) => (at("said").textContent = `The server could not be reached: ${wrong.message}.`);
  onAnswer(limitsIn(at("limits")));
  at("key").value = theKey();
  at("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(at("key").value.trim());
    show().catch(failed);
  });
  at("forget").addEventListener("click", () => {
    at("key").value = "";
    setKey("");
    show().catch(failed);
  });
  at("filter").addEventListener("input", filter);
  addEventListener("hashchange", openNamed);
  addEventListener("keydown", (event) => {
    const writing = event.target.closest?.("input, textarea, select");
    if (event.key !== "/" || writing || event.ctrlKey || event.metaKey || event.altKey || at("bar").hidden) return;
    event.preventDefault();
    at("filter").focus();
  });
  show().catch(failed);
}

start();
