// Svix's SDK for JavaScript against a server: `judge.mjs PACKAGE URL KEY RECEIVER`. It prints each step that worked.
// After `sent` it reads what the receiver got, as one line of JSON, and verifies it.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";

const [name, serverUrl, key, receiver] = process.argv.slice(2);
const { Svix, Webhook } = (await import(name)).default ?? (await import(name));
const svix = new Svix(key, { serverUrl, numRetries: 0 });
const names = name === "svix1" ? { types: "filterTypes" } : { types: "eventTypes" };
const step = (text) => console.log(text);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const app = await svix.application.create({ name: "App" });
assert.equal((await svix.application.get(app.id)).name, "App");
assert.ok((await svix.application.list()).data.some((each) => each.id === app.id));
step("application");
for (const name of ["event.started", "event.ended"]) {
  try {
    await svix.eventType.create({ name, description: "Something" });
  } catch (error) {
    assert.equal(error.code, 409);
  }
}
step("event types");
const endpoint = await svix.endpoint.create(app.id, { url: receiver, channels: ["ch0", "ch1"] });
assert.deepEqual(endpoint.channels.sort(), ["ch0", "ch1"]);
assert.deepEqual(endpoint[names.types] ?? [], []);
const patched = await svix.endpoint.patch(app.id, endpoint.id, { [names.types]: ["event.started", "event.ended"] });
assert.deepEqual(patched.channels.sort(), ["ch0", "ch1"]);
assert.deepEqual(patched[names.types].sort(), ["event.ended", "event.started"]);
step("endpoint");
const payload = { amount: 12.5, name: "é" };
const message = await svix.message.create(app.id, {
  eventType: "event.started",
  payload,
  channels: ["ch1"],
  eventId: `order-${app.id}`.slice(0, 60),
});
assert.deepEqual(message.channels, ["ch1"]);
step("sent");
const got = JSON.parse((await lines.next()).value);
const { key: secret } = await svix.endpoint.getSecret(app.id, endpoint.id);
const verified = new Webhook(secret).verify(got.body, got.headers);
assert.deepEqual(verified ?? JSON.parse(got.body), payload);
step("verified");
let attempts = [];
while (!attempts.length) attempts = (await svix.messageAttempt.listByMsg(app.id, message.id)).data;
assert.equal(attempts[0].status, 0);
assert.equal(attempts[0].endpointId, endpoint.id);
await svix.messageAttempt.resend(app.id, message.id, endpoint.id);
await svix.endpoint.rotateSecret(app.id, endpoint.id, {});
assert.notEqual((await svix.endpoint.getSecret(app.id, endpoint.id)).key, secret);
step("attempts");
assert.ok((await svix.authentication.appPortalAccess(app.id, {})).url.includes("/portal/"));
step("portal");
await assert.rejects(svix.endpoint.create(app.id, { url: "nonsense" }), (error) => {
  assert.equal(error.code, 422);
  assert.deepEqual(error.body.detail[0].loc, ["body", "url"]);
  return true;
});
await svix.endpoint.delete(app.id, endpoint.id);
await svix.application.delete(app.id);
await assert.rejects(svix.application.get(app.id), (error) => error.code === 404);
step("deleted");
process.exit(0);
