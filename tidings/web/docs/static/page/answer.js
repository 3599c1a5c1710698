// Shows a response: the status, the important headers, a problem in words with its locations, and the body.

import { make, sentence } from "./dom.js";
import { coloured, pretty } from "./json.js";
import { span } from "./limits.js";

const HEADERS = [
  "Request-Id", "ETag", "Location", "Link", "Retry-After", "RateLimit", "Idempotency-Replayed", "Allow", "Content-Type",
];
const STREAM_CHARS_MAX = 100_000;

// Draws a whole response into `box`, and returns the body's JSON value if it has one.
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
  if (refused) box.append(make("details", { class: "more" }, make("summary", {}, "The whole response"), pre(coloured(shown))));
  else if (/^image|^application\/octet-stream/.test(media)) box.append(make("p", { class: "hint" }, "The body is not text."));
  else if (text) box.append(pre(value === undefined ? shown : coloured(shown)));
  return value;
}

// Draws a stream as it arrives, until it ends or `signal` stops it.
export async function drawStream(box, answer) {
  const shown = pre("");
  box.replaceChildren(statusLine(answer, "followed by new events as they arrive"), headersOf(answer), shown);
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
  return make("pre", { tabindex: 0, "aria-label": "The body of the response" }, content);
}

function problem(found, answer) {
  const box = make("div", { class: "problem" });
  const places = Array.isArray(found.errors) ? found.errors : [];
  box.append(make("h4", {}, String(found.title || "The call was refused")));
  // If only one place is wrong, its sentence is often the whole detail.
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

// "limit must be an integer" names its location itself. A location deeper in the body is shown in full, because names repeat there.
function startsWithPlace(detail, place) {
  const name = place.parameter ?? /^\/([^/~]+)$/.exec(place.pointer ?? "")?.[1];
  return Boolean(name) && detail.startsWith(name) && !/^[\w.[\]-]/.test(detail.slice(name.length));
}

function countdown(seconds) {
  const node = make("p", { class: "wait" });
  const end = Date.now() + seconds * 1000;
  const show = () => {
    const left = Math.ceil((end - Date.now()) / 1000);
    node.textContent = left > 0 ? `Try again in ${span(left)}.` : "You can try again now.";
    if (left <= 0) clearInterval(timer);
  };
  const timer = setInterval(() => (node.isConnected ? show() : clearInterval(timer)), 1000);
  show();
  return node;
}

function size(bytes) {
  return bytes < 1000 ? `${bytes} bytes` : `${(bytes / 1000).toLocaleString("en", { maximumFractionDigits: 1 })} kB`;
}
