// A request as curl, Python and JavaScript. The key stays out of them: they read it from the environment.
// Whatever a value contains (quotes, newlines, $, backticks), the server gets exactly that.

export const LANGUAGES = [
  ["curl", curl],
  ["Python", python],
  ["JavaScript", javascript],
];

function curl({ method, url, headers, body, stream, withKey }) {
  const parts = ["curl" + (stream ? " -N" : "") + (method === "GET" ? "" : ` -X ${method}`) + ` ${shell(url)}`];
  // Double quotes, so that the shell inserts the key.
  if (withKey) parts.push('-H "Authorization: Bearer $TIDINGS_KEY"');
  for (const [name, value] of headers) parts.push(`-H ${shell(`${name}: ${value}`)}`);
  // Not --data, which takes a leading @ as the name of a file.
  if (body !== null) parts.push(`--data-raw ${shell(body)}`);
  return parts.join(" \\\n  ");
}

function shell(text) {
  return "'" + text.replaceAll("'", "'\\''") + "'";
}

function python({ method, url, headers, body, isJson, stream, withKey }) {
  const lines = headers.map(([name, value]) => `        ${quoted(name)}: ${quoted(value)},`);
  if (withKey) lines.unshift('        "Authorization": "Bearer " + os.environ["TIDINGS_KEY"],');
  const value = body === null || !isJson ? null : literal(body, { true: "True", false: "False", null: "None" });
  const made = value === null ? `${quoted(body || "")}.encode()` : `json.dumps(${indented(value, "    ")}).encode()`;
  return [
    ...(value === null ? [] : ["import json"]),
    ...(withKey ? ["import os"] : []),
    "import urllib.error",
    "import urllib.request",
    "",
    "request = urllib.request.Request(",
    `    ${quoted(url)},`,
    `    method=${quoted(method)},`,
    ...(lines.length ? ["    headers={", ...lines, "    },"] : []),
    ...(body === null ? [] : [`    data=${made},`]),
    ")",
    "try:",
    "    with urllib.request.urlopen(request) as answer:",
    ...(stream
      ? ["        for line in answer:", '            print(line.decode(), end="")']
      : ["        print(answer.read().decode())"]),
    "except urllib.error.HTTPError as refused:",
    "    print(refused.read().decode())",
  ].join("\n");
}

function javascript({ method, url, headers, body, isJson, stream, withKey }) {
  const lines = headers.map(([name, value]) => `    ${quoted(name)}: ${quoted(value)},`);
  if (withKey) lines.unshift('    "Authorization": `Bearer ${process.env.TIDINGS_KEY}`,');
  const value = body === null || !isJson ? null : literal(body, {});
  const made = value === null ? quoted(body || "") : `JSON.stringify(${indented(value, "  ")})`;
  return [
    "// Save as ask.mjs, and run: node ask.mjs",
    `const answer = await fetch(${quoted(url)}, {`,
    `  method: ${quoted(method)},`,
    ...(lines.length ? ["  headers: {", ...lines, "  },"] : []),
    ...(body === null ? [] : [`  body: ${made},`]),
    "});",
    ...(stream
      ? ["for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {", "  process.stdout.write(piece);", "}"]
      : ["console.log(await answer.text());"]),
  ].join("\n");
}

// A string that Python and JavaScript read alike: JSON's escapes are theirs too.
function quoted(text) {
  return JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

// JSON as a literal, with `words` in place of true, false and null. Null if that would not be the same: text that is
// not JSON, a number that would be rounded, a name that means something else in JavaScript, a name that appears twice.
function literal(text, words) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const tokens = text.match(TOKEN) || [];
  const said = tokens.map((token) => (token[0] === '"' ? JSON.stringify(JSON.parse(token)) : token));
  if (said.join("") !== JSON.stringify(value) || said.includes('"__proto__"')) return null;
  return JSON.stringify(value, null, 2)
    .match(/"(?:[^"\\]|\\.)*"|[a-z]+|\s+|[^\s"a-z]+/g)
    .map((token) => (token[0] === '"' ? quoted(JSON.parse(token)) : (words[token] ?? token)))
    .join("");
}

function indented(text, by) {
  return text.replaceAll("\n", `\n${by}`);
}
