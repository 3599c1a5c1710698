// The full reference, drawn by Scalar from the document of the key that was entered at /docs.

import { BASE, theDocument, theKey } from "./session.js";

// Everything that Scalar would request from other servers is off: fonts, proxy, telemetry, assistants, its own site.
const ALONE = {
  agent: { disabled: true },
  hideClientButton: true,
  mcp: { disabled: true },
  persistAuth: false,
  showDeveloperTools: "never",
  telemetry: false,
  withDefaultFonts: false,
};

async function show() {
  const said = document.getElementById("said");
  const { document: content, problem } = await theDocument();
  if (problem) {
    said.textContent = problem.detail;
    return;
  }
  said.textContent = theKey() ? "" : "No key has been entered. Enter one on that page to see what it may do.";
  globalThis.Scalar.createApiReference("#reference", {
    ...ALONE,
    content,
    servers: [{ url: BASE.replace(/\/$/, "") }],
    theme: "none",
    authentication: { preferredSecurityScheme: "key", securitySchemes: { key: { token: theKey() } } },
  });
}

show().catch((wrong) => {
  document.getElementById("said").textContent = `The server could not be reached: ${wrong.message}.`;
});
