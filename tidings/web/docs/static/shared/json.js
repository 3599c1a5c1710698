// JSON as text. Numbers keep their digits: 12345678901234567890 must not be rounded when it is shown.

import { make } from "./dom.js";

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const COLOURED_CHARS_MAX = 200_000;

// The same JSON on several lines. Throws SyntaxError if it is not JSON.
export function pretty(text) {
  JSON.parse(text);
  const tokens = text.match(TOKEN) || [];
  let out = "";
  let depth = 0;
  const line = () => "\n" + "  ".repeat(depth);
  tokens.forEach((token, index) => {
    if (token === "{" || token === "[") {
      depth += 1;
      out += token;
      if (!"}]".includes(tokens[index + 1])) out += line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      out += ("{[".includes(tokens[index - 1]) ? "" : line()) + token;
    } else if (token === ",") {
      out += token + line();
    } else {
      out += token === ":" ? ": " : token;
    }
  });
  return out;
}

// A value as JSON on several lines.
export function written(value) {
  return JSON.stringify(value, null, 2);
}

// The value of a text, with every number that JavaScript would round kept as written, if the browser supports that.
export function parsed(text) {
  if (!JSON.rawJSON) return JSON.parse(text);
  return JSON.parse(text, (name, value, context) =>
    typeof value === "number" && context && String(value) !== context.source ? JSON.rawJSON(context.source) : value,
  );
}

// The text with its names, strings and numbers in different colours.
export function coloured(text) {
  const box = document.createDocumentFragment();
  if (text.length > COLOURED_CHARS_MAX) {
    box.append(text);
    return box;
  }
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    const token = found[0];
    const kind = kindOf(token, text.slice(found.index + token.length, found.index + token.length + 2));
    if (!kind) continue;
    box.append(text.slice(end, found.index), make("span", { class: kind }, token));
    end = found.index + token.length;
  }
  box.append(text.slice(end));
  return box;
}

function kindOf(token, after) {
  if (token[0] === '"') return after.trimStart().startsWith(":") ? "j-name" : "j-text";
  if (/^[-0-9]/.test(token)) return "j-number";
  return /^(true|false|null)$/.test(token) ? "j-word" : "";
}
