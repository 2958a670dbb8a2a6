// The SDK in Node, with package ws, against a real hawser. HAWSER_URL names
// its WebSocket; tests/browser starts one, with a test service on NATS.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import WebSocket from "ws";
import { Hawser, HawserError, type WebSocketConstructor } from "../src/hawser.js";

const url = process.env["HAWSER_URL"] ?? "";
const options = { skip: url ? false : "HAWSER_URL is not set: tests/browser runs this" };

/** A client and the sockets it made; closed with the test. */
function start(t: { after(fn: () => Promise<void>): void }) {
  const sockets: WebSocket[] = [];
  const Recorded = class extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols);
      sockets.push(this);
    }
  };
  const client = new Hawser({ url, WebSocket: Recorded as unknown as WebSocketConstructor });
  t.after(() => client.close());
  return { client, sockets };
}

/** Resolves with the next `count` data of a channel, once subscribed. */
async function listen(client: Hawser, channel: string, count: number) {
  const data: unknown[] = [];
  let done: () => void;
  const all = new Promise<void>((resolve) => (done = resolve));
  const subscription = client.subscribe(channel, (d) => data.push(d) === count && done());
  await subscription.ready;
  return { subscription, received: async () => (await all, data) };
}

test("publish reaches subscribers as it was, in order", options, async (t) => {
  const { client } = start(t);
  await client.connect();
  assert.ok(client.session?.id);
  const values = [{ a: [1, null, "ü ✓ \u2028"] }, "text", "", 7, false, null, Uint8Array.of(0, 255, 128)];
  const { received } = await listen(client, "values", values.length);
  await Promise.all(values.map((value) => client.publish("values", value)));
  assert.deepEqual(await received(), values);
});

test("rpc: answers, application errors, nobody there", options, async (t) => {
  const { client } = start(t);
  await client.connect();
  assert.deepEqual(await client.rpc("test.echo", { q: [1, 2] }), { q: [1, 2] });
  await assert.rejects(client.rpc("nobody.here"), (error: HawserError) => error.kind === "server" && error.code >= 400);
  await assert.rejects(client.subscribe("bad channel", () => {}).ready, (error: HawserError) => error.code === 400);
});

test("direct messages find the session", options, async (t) => {
  const { client } = start(t);
  await client.connect();
  const direct = new Promise((resolve) => client.on("direct", resolve));
  await client.rpc("test.direct", { session: client.session?.id });
  assert.equal(await direct, "only you");
});

test("a cut connection comes back with its session and subscriptions", options, async (t) => {
  const { client, sockets } = start(t);
  await client.connect();
  const before = client.session;
  const { received } = await listen(client, "cut", 1);
  const again = new Promise((resolve) => client.on("connect", resolve));
  sockets[0]!.terminate();
  await once(sockets[0]!, "close");
  const published = client.publish("cut", "while away"); // waits for the subscription to be back
  await again;
  assert.deepEqual(client.session, { ...before, resumed: true });
  await published;
  assert.deepEqual(await received(), ["while away"]);
  assert.ok((await client.ping()) >= 0);
});

test("unsubscribe ends the flow; others go on", options, async (t) => {
  const { client } = start(t);
  await client.connect();
  const one = await listen(client, "flow", 1);
  const two = await listen(client, "flow", 2);
  await client.publish("flow", 1);
  assert.deepEqual(await one.received(), [1]);
  one.subscription.unsubscribe();
  await client.publish("flow", 2);
  assert.deepEqual(await two.received(), [1, 2]);
  assert.deepEqual(await one.received(), [1]);
});
