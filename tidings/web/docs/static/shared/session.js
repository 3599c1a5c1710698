// The key, and every call made with it. The key is kept for this browser tab only, never in a URL, and is sent to this
// server only. The reference page reads it here too.

const KEPT_AS = "tidings.key";
const listeners = [];

// Where the API's paths begin: this page is at .../docs, the reference at .../docs/reference.
export const BASE = new URL(location.pathname.endsWith("/reference") ? "../" : "./", location.href).href.split(/[?#]/)[0];

let key = kept();

export function theKey() {
  return key;
}

export function setKey(text) {
  key = text;
  try {
    if (key) sessionStorage.setItem(KEPT_AS, key);
    else sessionStorage.removeItem(KEPT_AS);
  } catch {
    // If the browser stores nothing, the page still has it.
  }
}

function kept() {
  try {
    return sessionStorage.getItem(KEPT_AS) || "";
  } catch {
    return "";
  }
}

// Call `hear(headers)` with the headers of every response.
export function onAnswer(hear) {
  listeners.push(hear);
}

// One call to this server. Throws TypeError if it cannot be sent.
export async function ask(url, { method = "GET", headers = [], body = null, signal } = {}) {
  const lines = new Headers(headers);
  if (key) lines.set("Authorization", `Bearer ${key}`);
  const answer = await fetch(url, { method, headers: lines, body, signal, cache: "no-store" });
  listeners.forEach((hear) => hear(answer.headers));
  return answer;
}

// The document of the key: { document } or { problem }. `isWrong`: the key itself is not accepted.
export async function theDocument() {
  if (/[^\x21-\x7e]/.test(key)) {
    return { problem: { detail: "This is not a key: a key has only letters, digits, - and _." }, isWrong: true };
  }
  const answer = await ask(new URL("v1/openapi.json", BASE).href);
  const found = await answer.json();
  return answer.ok ? { document: found } : { problem: found, isWrong: answer.status === 401 };
}
