// The senders' own JavaScript packages as a program: a request as a line of JSON in, a verdict or a signature out.
// The lines are those of judge.py.

import https from "node:https";
import { Readable } from "node:stream";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

// A package that throws for what is not genuine, or answers anything but true.
async function passes(call) {
  try {
    return (await call()) !== false;
  } catch {
    return false;
  }
}

const VERIFY = {
  "aws-sns": async (r) => {
    // The secret is the certificate that AWS would serve; nothing is fetched.
    https.get = (_, answer) => {
      answer(Object.assign(Readable.from([r.secret]), { statusCode: 200 }));
      return { on() {} };
    };
    const MessageValidator = require("sns-validator");
    // Certificates are kept by their URL, so each gets a copy of its own.
    delete require.cache[require.resolve("sns-validator")];
    const validator = new MessageValidator();
    return new Promise((done) => validator.validate(JSON.parse(r.text), (error) => done(!error)));
  },
  discord: async (r) => {
    const { verifyKey } = await import("discord-interactions");
    return verifyKey(r.text, r.headers["x-signature-ed25519"], r.headers["x-signature-timestamp"], r.secret);
  },
  github: async (r) => {
    const { verify } = await import("@octokit/webhooks-methods");
    return verify(r.secret, r.text, r.headers["x-hub-signature-256"]);
  },
  line: async (r) => {
    const { validateSignature } = await import("@line/bot-sdk");
    return validateSignature(r.text, r.secret, r.headers["x-line-signature"]);
  },
  linear: async (r) => {
    const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
    const at = JSON.parse(r.text).webhookTimestamp;
    return passes(() => new LinearWebhookClient(r.secret).verify(Buffer.from(r.text), r.headers["linear-signature"], at));
  },
  mux: async (r) => {
    const { default: Mux } = await import("@mux/mux-node");
    const mux = new Mux({ tokenId: "x", tokenSecret: "y" });
    return passes(() => mux.webhooks.verifySignature(r.text, r.headers, r.secret));
  },
  notion: async (r) => {
    const { verifyWebhookSignature } = await import("@notionhq/client");
    const signature = r.headers["x-notion-signature"];
    return verifyWebhookSignature({ body: r.text, signature, verificationToken: r.secret });
  },
  sanity: async (r) => {
    const { isValidSignature } = await import("@sanity/webhook");
    return isValidSignature(r.text, r.headers["sanity-webhook-signature"], r.secret);
  },
  shopify: async (r) => {
    await import("@shopify/shopify-api/adapters/node");
    const { shopifyApi, ApiVersion } = await import("@shopify/shopify-api");
    const api = shopifyApi({
      apiKey: "x",
      apiSecretKey: r.secret,
      hostName: "example.com",
      apiVersion: Object.values(ApiVersion)[0],
      isEmbeddedApp: false,
      logger: { log: () => {} },
    });
    const headers = { "x-shopify-api-version": "2026-01", ...r.headers };
    const rawRequest = { headers, method: "POST", url: "/in" };
    const found = await api.webhooks.validate({ rawBody: r.text, rawRequest, rawResponse: {} });
    return found.valid;
  },
  webflow: async (r) => {
    const { WebflowClient } = await import("webflow-api");
    const client = new WebflowClient({ accessToken: "x" });
    return client.webhooks.verifySignature({ headers: r.headers, body: r.text, secret: r.secret });
  },
};

const SIGN = {
  github: async (r) => {
    const { sign } = await import("@octokit/webhooks-methods");
    return { headers: { "X-Hub-Signature-256": await sign(r.secret, r.text) } };
  },
  notion: async (r) => {
    const { signWebhookPayload } = await import("@notionhq/client");
    const signature = await signWebhookPayload({ body: r.text, verificationToken: r.secret });
    return { headers: { "X-Notion-Signature": signature } };
  },
  sanity: async (r) => {
    const { encodeSignatureHeader } = await import("@sanity/webhook");
    return { headers: { "sanity-webhook-signature": await encodeSignatureHeader(r.text, Date.now(), r.secret) } };
  },
};

async function answered(line) {
  const given = JSON.parse(line);
  const request = { ...given, text: Buffer.from(given.body ?? "", "base64").toString() };
  if (given.do === "sign") {
    return SIGN[given.scheme](request);
  }
  return { ok: (await VERIFY[given.scheme](request)) === true };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await answered(line).catch((error) => ({ error: String(error.stack) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
