// The calls that can follow a response: its OpenAPI links.

// The links of `status` for which every value is known: [{ operationId, description, values }].
export function linksOf(operation, status, given) {
  const responses = operation.responses || {};
  const links = (responses[status] || responses[`${String(status)[0]}XX`])?.links || {};
  const found = [];
  for (const link of Object.values(links)) {
    const values = Object.entries(link.parameters || {}).map(([name, from]) => {
      return [name.replace(/^(path|query)\./, ""), valueOf(from, given)];
    });
    if (link.operationId && values.every(([, value]) => value !== undefined && value !== null)) {
      found.push({ operationId: link.operationId, description: link.description, values });
    }
  }
  return found;
}

// A runtime expression such as `$response.body#/id` or `$request.path.id`; any other text is a literal.
function valueOf(expression, { body, fields }) {
  const text = String(expression);
  if (text.startsWith("$response.body#/")) {
    const steps = text.slice("$response.body#/".length).split("/");
    return steps.reduce((here, step) => here?.[step.replaceAll("~1", "/").replaceAll("~0", "~")], body);
  }
  const asked = /^\$request\.(path|query|header)\.(.+)$/.exec(text);
  if (asked) return fields.find((one) => one.where === asked[1] && one.name === asked[2])?.text();
  return text.startsWith("$") ? undefined : expression;
}
