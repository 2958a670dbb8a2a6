import assert from "node:assert/strict";
import { test } from "node:test";
import { connectedBench, failure, settled } from "./world.js";

const publication = (channel: string, seq: number, data: unknown) => ({ publication: { channel, seq, data } });

test("delivers in order, also what shares a frame with the answer", async () => {
  const { client, socket } = await connectedBench();
  const got: unknown[] = [];
  const sub = client.subscribe<string>("news", (data, { channel, seq }) => got.push([channel, seq, data]));
  assert.equal(sub.state, "pending");
  await settled();
  const { id } = socket().last("subscribe");
  await socket().say(publication("news", 6, "before"), { id: id!, subscribed: { channel: "news" } }, publication("news", 7, "a"), publication("news", 8, "b"));
  await sub.ready;
  assert.deepEqual(got, [["news", 7, "a"], ["news", 8, "b"]]);
  await socket().say({ publication: { channel: "news", data_base64: "AAE=" } });
  assert.deepEqual(got[2], ["news", 0, Uint8Array.of(0, 1)]);
});

test("what was delivered before a close reaches the handler", async () => {
  const { client, socket } = await connectedBench();
  const got: unknown[] = [];
  const sub = client.subscribe("news", (data) => got.push(data));
  await settled();
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  await sub.ready;
  // Message and close in one turn, as package ws may do.
  socket().onmessage?.({ data: JSON.stringify(publication("news", 1, "last")) });
  socket().onclose?.({ code: 1006, reason: "" });
  await settled();
  assert.deepEqual(got, ["last"]);
});

test("several handlers share one subscription on the wire", async () => {
  const { client, socket } = await connectedBench();
  const got: string[] = [];
  const one = client.subscribe("news", () => got.push("one"));
  const two = client.subscribe("news", () => got.push("two"));
  await settled();
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  const three = client.subscribe("news", () => got.push("three"));
  await Promise.all([one.ready, two.ready, three.ready]);
  await socket().say(publication("news", 1, null));
  one.unsubscribe();
  await socket().say(publication("news", 2, null));
  assert.deepEqual(got, ["one", "two", "three", "two", "three"]);
  assert.equal(socket().commands.filter((c) => c.subscribe).length, 1);
  two.unsubscribe();
  three.unsubscribe();
  three.unsubscribe();
  await settled();
  assert.equal(socket().commands.filter((c) => c.unsubscribe).length, 1);
});

test("subscribes again after a reconnect", async () => {
  const { client, world, socket } = await connectedBench();
  const states: string[] = [];
  const sub = client.subscribe("news", () => {});
  sub.on("state", ({ state }) => states.push(state));
  await settled();
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  await socket().die();
  const ready = sub.ready; // a new wait
  await world.advance(250);
  await socket().welcome();
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  await ready;
  assert.deepEqual(states, ["active", "pending", "active"]);
});

test("unsubscribe and subscribe again: old publications do not leak in", async () => {
  const { client, socket } = await connectedBench();
  const got: unknown[] = [];
  const old = client.subscribe("news", () => got.push("old"));
  await settled();
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  old.unsubscribe();
  client.subscribe("news", (data) => got.push(data));
  await settled();
  assert.deepEqual(socket().commands.slice(-2).map((c) => Object.keys(c)[1]), ["unsubscribe", "subscribe"]);
  await socket().say(publication("news", 1, "stale"));
  await socket().answer("unsubscribe", { unsubscribed: { channel: "news" } });
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  await socket().say(publication("news", 2, "fresh"));
  assert.deepEqual(got, ["fresh"]);
});

test("a refusal for good ends the subscription and is reported", async () => {
  const { client, socket } = await connectedBench();
  const errors: number[] = [];
  client.on("error", ({ code }) => errors.push(code));
  const sub = client.subscribe("secret", () => {});
  await settled();
  await socket().answer("subscribe", { error: { code: 403, message: "not allowed" } });
  assert.equal((await failure(sub.ready)).code, 403);
  assert.equal(sub.state, "ended");
  assert.deepEqual(errors, [403]);
});

test("a temporary refusal is tried again, with backoff", async () => {
  const { client, world, socket } = await connectedBench();
  const sub = client.subscribe("news", () => {});
  await settled();
  for (const wait of [250, 500, 1_000]) {
    await socket().answer("subscribe", { error: { code: 503, message: "later", temporary: true } });
    const before = socket().commands.length;
    await world.advance(wait - 1);
    assert.equal(socket().commands.length, before);
    await world.advance(1);
    assert.equal(socket().commands.length, before + 1);
  }
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  await sub.ready;
});

test("after a timeout the server is told to forget the first try", async () => {
  const { client, world, socket } = await connectedBench({ commandTimeoutMs: 1_000 });
  client.subscribe("news", () => {});
  await world.advance(1_250);
  assert.deepEqual(socket().commands.slice(1).map((c) => Object.keys(c)[1]), ["subscribe", "unsubscribe", "subscribe"]);
});

test("the server may end a subscription: for good, or for now", async () => {
  const { client, world, socket } = await connectedBench();
  const sub = client.subscribe("news", () => {});
  await settled();
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  await socket().say({ unsubscribed: { channel: "news", error: { code: 503, message: "moving", temporary: true } } });
  assert.equal(sub.state, "pending");
  await world.advance(250);
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  assert.equal(sub.state, "active");
  await socket().say({ unsubscribed: { channel: "news", error: { code: 403, message: "no more" } } });
  assert.equal(sub.state, "ended");
});

test("close() tells who waits, and another connect() subscribes again", async () => {
  const { client, socket } = await connectedBench();
  const sub = client.subscribe("news", () => {});
  const waiting = failure(sub.ready);
  void client.close();
  assert.equal((await waiting).kind, "closed");
  const again = sub.ready;
  void client.connect();
  await settled();
  await socket().welcome();
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  await again;
});

test("unsubscribing rejects ready and sends nothing while offline", async () => {
  const { client, world, socket } = await connectedBench();
  await socket().die();
  const sub = client.subscribe("news", () => {});
  sub.unsubscribe();
  assert.equal((await failure(sub.ready)).message, "unsubscribed");
  await world.advance(250);
  await socket().welcome();
  assert.equal(socket().commands.length, 1);
});

test("128 subscriptions come back in one frame", async () => {
  const { client, world, socket } = await connectedBench();
  for (let i = 0; i < 128; i++) client.subscribe(`c${i}`, () => {});
  await socket().die();
  await world.advance(250);
  await socket().welcome();
  assert.equal(socket().frames.length, 2);
  assert.equal(socket().commands.length, 129);
});
