// What came back: the status, the headers that matter, a problem in words with its places, and the body.

import { make, sentence } from "./dom.js";
import { coloured, pretty } from "./json.js";
import { span } from "./limits.js";

const HEADERS = [
  "Request-Id", "ETag", "Location", "Link", "Retry-After", "RateLimit", "Idempotency-Replayed", "Allow", "Content-Type",
];
const STREAM_CHARS_MAX = 100_000;

// Draws a whole answer into `box`; the body's JSON value where it has one.
export async function drawAnswer(box, answer, milliseconds) {
  const media = answer.headers.get("Content-Type") || "";
  const bytes = await answer.arrayBuffer();
  const text = new TextDecoder().decode(bytes);
  let value;
  let shown = text;
  if (/[/+]json\b/.test(media) && text) {
    try {
      shown = pretty(text);
      value = JSON.parse(text);
    } catch {
      shown = text;
    }
  }
  box.replaceChildren(statusLine(answer, `in ${milliseconds} ms${bytes.byteLength ? `, ${size(bytes.byteLength)}` : ""}`));
  const refused = media.startsWith("application/problem+json") && value;
  if (refused) box.append(problem(value, answer));
  box.append(headersOf(answer));
  if (refused) box.append(make("details", { class: "more" }, make("summary", {}, "The whole answer"), pre(coloured(shown))));
  else if (/^image|^application\/octet-stream/.test(media)) box.append(make("p", { class: "hint" }, "The body is no text."));
  else if (text) box.append(pre(value === undefined ? shown : coloured(shown)));
  return value;
}

// Draws a stream while it comes, until it ends or `signal` stops it.
export async function drawStream(box, answer) {
  const shown = pre("");
  box.replaceChildren(statusLine(answer, "and what comes from now on"), headersOf(answer), shown);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    shown.textContent = (shown.textContent + value).slice(-STREAM_CHARS_MAX);
    shown.scrollTop = shown.scrollHeight;
  }
}

export function drawFailure(box, said) {
  box.replaceChildren(make("p", { class: "status bad", role: "status" }, said));
}

function statusLine(answer, more) {
  const kind = answer.status < 300 ? "good" : answer.status < 400 ? "same" : "bad";
  const status = make("strong", {}, `${answer.status} ${answer.statusText}`.trim());
  return make("p", { class: `status ${kind}`, role: "status" }, status, " ", make("span", {}, more));
}

function headersOf(answer) {
  const list = make("dl", { class: "headers" });
  for (const name of HEADERS) {
    const value = answer.headers.get(name);
    if (value !== null) list.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  }
  return list;
}

function pre(content) {
  return make("pre", { tabindex: 0, "aria-label": "The body of the answer" }, content);
}

function problem(found, answer) {
  const box = make("div", { class: "problem" });
  const places = Array.isArray(found.errors) ? found.errors : [];
  box.append(make("h4", {}, String(found.title || "It was refused")));
  // Where one place is wrong, its sentence often is the whole sentence.
  if (!places.some((place) => place.detail === found.detail)) box.append(sentence("p", String(found.detail || "")));
  if (places.length) {
    const list = make("ul", {});
    for (const place of places) {
      const detail = String(place.detail || place.code || "");
      const row = make("li", {});
      if (!startsWithPlace(detail, place)) row.append(make("code", {}, place.parameter ?? (place.pointer || "the body")), " ");
      row.append(sentence("span", detail));
      list.append(row);
    }
    box.append(list);
  }
  const wait = Number(answer.headers.get("Retry-After"));
  if (wait > 0) box.append(countdown(wait));
  return box;
}

// "limit must be an integer" names its place itself. A place deeper in the body is told whole, since names repeat there.
function startsWithPlace(detail, place) {
  const name = place.parameter ?? /^\/([^/~]+)$/.exec(place.pointer ?? "")?.[1];
  return Boolean(name) && detail.startsWith(name) && !/^[\w.[\]-]/.test(detail.slice(name.length));
}

function countdown(seconds) {
  const node = make("p", { class: "wait" });
  const end = Date.now() + seconds * 1000;
  const show = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    node.textContent = left > 0 ? `Try again in ${span(left)}.` : "It may be tried again now.";
    if (left <= 0) clearInterval(timer);
  };
  const timer = setInterval(() => (node.isConnected ? show() : clearInterval(timer)), 1000);
  show();
  return node;
}

function size(bytes) {
  return bytes < 1000 ? `${bytes} bytes` : `${(bytes / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} kB`;
}
