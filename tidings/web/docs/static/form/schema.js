// What a form needs from a JSON Schema of the document.

const DEPTH_MAX = 6;

// Makes the functions that read the schemas of one document.
export function reader(whole) {
  function at(reference) {
    let here = whole;
    for (const step of String(reference).replace(/^#\/?/, "").split("/")) {
      here = here?.[decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")];
    }
    return here || {};
  }

  // The schema itself: references followed, "or null" left out, allOf joined.
  function plain(schema, depth = 0) {
    if (!schema || typeof schema !== "object" || depth > DEPTH_MAX) return {};
    if (schema.$ref) return plain({ ...at(schema.$ref), ...without(schema, "$ref") }, depth + 1);
    if (schema.allOf) {
      const parts = schema.allOf.map((part) => plain(part, depth + 1));
      const properties = Object.assign({}, ...parts.map((part) => part.properties), schema.properties);
      const required = [...parts.flatMap((part) => part.required || []), ...(schema.required || [])];
      return Object.assign({}, ...parts, without(schema, "allOf"), { properties, required });
    }
    const choices = schema.anyOf || schema.oneOf;
    if (choices) {
      const real = choices.filter((choice) => choice.type !== "null" && choice.const !== null);
      const rest = without(without(schema, "anyOf"), "oneOf");
      if (real.length === 1) return { ...plain(real[0], depth + 1), ...rest };
      const named = real.length > 0 && real.every((choice) => choice.const !== undefined);
      return named ? { ...rest, enum: real.map((choice) => choice.const) } : { ...rest, choices: real };
    }
    if (Array.isArray(schema.type)) {
      const types = schema.type.filter((type) => type !== "null");
      return { ...schema, type: types.length === 1 ? types[0] : undefined };
    }
    return schema;
  }

  // The possible values, in a few words.
  function words(schema, depth = 0) {
    const it = plain(schema);
    if (depth > 2) return "anything";
    if (it.const !== undefined) return `only ${JSON.stringify(it.const)}`;
    if (it.enum) return "one of a list";
    if (it.choices) return [...new Set(it.choices.map((choice) => words(choice, depth + 1)))].join(" or ");
    if (it.type === "array" && plain(it.items || {}).enum) return "any of a list";
    if (it.type === "array") return `list of ${words(it.items || {}, depth + 1)}`;
    if (it.format === "decimal") return `decimal, as a string${it.maxLength ? ` of up to ${it.maxLength} characters` : ""}`;
    if (it.type === "string") return ["date", "date-time", "uri", "email"].includes(it.format) ? NAMES[it.format] : "text";
    return (NAMES[it.type] || "anything") + bounds(it);
  }

  // A valid value: the schema's own example, or a made-up one.
  function sample(schema, depth = 0) {
    const it = plain(schema);
    if (it.example !== undefined) return it.example;
    if (it.examples?.length) return it.examples[0];
    if (it.default !== undefined && it.default !== null) return it.default;
    if (it.const !== undefined) return it.const;
    if (it.enum) return it.enum.find((value) => value !== null);
    if (it.choices) return sample(it.choices[0], depth + 1);
    if (it.type === "array") return depth > DEPTH_MAX || !it.minItems ? [] : [sample(it.items, depth + 1)];
    if (it.type === "object" || it.properties) return object(it, depth);
    if (it.type === "integer" || it.type === "number") return Math.max(it.minimum ?? 0, Math.min(1, it.maximum ?? 1));
    if (it.type === "boolean") return true;
    return it.type === "string" ? TEXTS[it.format] || "text".padEnd(it.minLength || 0, ".").slice(0, it.maxLength) : {};
  }

  function object(it, depth) {
    const found = {};
    if (depth > DEPTH_MAX) return found;
    for (const [name, each] of Object.entries(it.properties || {})) {
      if ((it.required || []).includes(name) && !plain(each).readOnly) found[name] = sample(each, depth + 1);
    }
    return found;
  }

  return { at, plain, words, sample };
}

// The example given for a parameter or a body; undefined if there is none.
export function exampleOf(thing) {
  if (thing.example !== undefined) return thing.example;
  const first = Object.values(thing.examples || {})[0];
  if (first?.value !== undefined) return first.value;
  return thing.schema?.example ?? thing.schema?.examples?.[0];
}

const NAMES = {
  "date-time": "date and time, in UTC",
  array: "list",
  boolean: "true or false",
  date: "day",
  email: "mail address",
  integer: "whole number",
  number: "number",
  object: "object",
  string: "text",
  uri: "URL",
};
const TEXTS = {
  date: "2026-11-21",
  "date-time": "2026-11-21T01:02:03Z",
  email: "somebody@example.com",
  uri: "https://example.com/",
};

function without(object, name) {
  const { [name]: _, ...rest } = object;
  return rest;
}

// Bounds that only repeat the limits of the number's type are left out.
const KIND_BOUND = 1e15;

function bounds(it) {
  const from = told(it.minimum ?? it.exclusiveMinimum);
  const to = told(it.maximum ?? it.exclusiveMaximum);
  const low = from === undefined ? "" : it.minimum === undefined ? `more than ${from}` : `from ${from}`;
  const high = to === undefined ? "" : it.maximum === undefined ? `less than ${to}` : `to ${to}`;
  return low || high ? ` ${low}${low && high ? " " : ""}${high}` : "";
}

function told(bound) {
  return Math.abs(bound) < KIND_BOUND ? bound : undefined;
}
