// How many calls a key has left, from the RateLimit and RateLimit-Policy headers of its responses
// (draft-ietf-httpapi-ratelimit-headers): `"day";q=1000;w=86400` and `"day";r=997;t=3600`.

import { make } from "./dom.js";

const ITEM = /"([^"]*)"((?:\s*;\s*\w+=\d+)*)/g;
const WHEN = { 1: "this second", 60: "this minute", 3600: "this hour", 86400: "today" };

// The windows, longest first: `left` of `limit` calls, restarting in `reset` seconds.
export function windowsOf(headers) {
  const policies = items(headers.get("RateLimit-Policy"));
  const found = [];
  for (const [name, now] of items(headers.get("RateLimit"))) {
    const policy = policies.get(name);
    if (policy) found.push({ limit: policy.q, seconds: policy.w, left: now.r, reset: now.t });
  }
  return found.sort((one, other) => other.seconds - one.seconds);
}

function items(text) {
  const found = new Map();
  for (const [, name, rest] of (text || "").matchAll(ITEM)) {
    found.set(name, Object.fromEntries([...rest.matchAll(/(\w+)=(\d+)/g)].map(([, of, value]) => [of, Number(value)])));
  }
  return found;
}

// Draws the windows into `box`, and refills each when it restarts. Headers without limits change nothing.
export function limitsIn(box) {
  let timers = [];
  return (headers) => {
    const windows = windowsOf(headers);
    if (!windows.length) return;
    timers.forEach(clearTimeout);
    timers = [];
    box.replaceChildren(...windows.map((window, index) => chip(window, index, timers)));
  };
}

function chip(window, index, timers) {
  const text = make("span", {});
  const meter = make("meter", { min: 0, max: window.limit, low: window.limit / 5, optimum: window.limit, "aria-hidden": "true" });
  const node = make("span", { class: "limit" }, text, meter);
  const when = WHEN[window.seconds] || `in ${span(window.seconds)}`;
  const show = (left) => {
    text.textContent = `${count(left)} of ${count(window.limit)} ${index ? "" : "calls left "}${when}`;
    meter.value = left;
    node.classList.toggle("none", left === 0);
  };
  show(window.left);
  node.title = `This limit restarts in ${span(window.reset)}.`;
  // Waits that are longer than a timer supports are left to the next response.
  if (window.reset < 86400) timers.push(setTimeout(() => show(window.limit), window.reset * 1000));
  return node;
}

function count(number) {
  return number.toLocaleString("en");
}

// Seconds in words.
export function span(seconds) {
  const parts = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const at = parts.findIndex(([, size]) => seconds >= size);
  if (at < 0) return "a moment";
  const said = [];
  for (const [name, size] of parts.slice(at, at + 2)) {
    const number = Math.floor(seconds / size);
    seconds -= number * size;
    if (number) said.push(`${number} ${name}${number === 1 ? "" : "s"}`);
  }
  return said.join(" ");
}
