import assert from "node:assert/strict";
import { test } from "node:test";
import type { HawserError } from "../src/errors.js";
import { VERSION } from "../src/options.js";
import { bench, connectedBench, failure, settled } from "./world.js";

test("connects: subprotocol, hello, welcome", async () => {
  const { client, socket, story } = bench({ token: "jwt", clientName: "app" });
  const connected = client.connect();
  await settled();
  assert.equal(socket().url, "ws://host/ws/demo");
  assert.deepEqual(socket().protocols, ["hawser.v1.json"]);
  await socket().welcome({ user: "ann" });
  assert.deepEqual(socket().commands, [{ id: 1, connect: { client_name: "app", client_version: VERSION, token: "jwt" } }]);
  await connected;
  assert.equal(client.state, "connected");
  assert.deepEqual(client.session, { id: "s1", node: "n1", user: "ann", resumed: false });
  assert.deepEqual(story, ["connecting", "connected"]);
});

test("comes back with jitter, presents the resume token, and reports it", async () => {
  const { client, world, socket, sockets, story } = await connectedBench();
  const told: unknown[] = [];
  client.on("disconnect", ({ error, willReconnect }) => told.push(error.code, willReconnect));
  await socket().die(1006);
  assert.equal(client.state, "suspended");
  await world.advance(249);
  assert.equal(sockets.length, 1);
  await world.advance(1); // chance 0.5 of 500 ms
  assert.equal(sockets.length, 2);
  await socket().open();
  assert.equal(socket().last("connect").connect.resume_token, "r1");
  await socket().answer("connect", { connected: { session: "s1", resume_token: "r2", resumed: true } });
  assert.equal(client.session?.resumed, true);
  assert.deepEqual(story, ["connecting", "connected", "suspended 250", "connecting", "connected"]);
  assert.deepEqual(told, [1006, true]);
});

test("the backoff grows until a connection was stable", async () => {
  const { world, socket, redial, story } = await connectedBench();
  world.chance = 0.99999;
  for (let i = 0; i < 8; i++) {
    await socket().die();
    await redial();
  }
  await socket().welcome({ ping_ms: 100_000 });
  await world.advance(59_999);
  await socket().die();
  await redial();
  await socket().welcome({ ping_ms: 100_000 });
  await world.advance(60_000);
  await socket().die();
  const waits = story.filter((s) => s.startsWith("suspended")).map((s) => Number(s.split(" ")[1]));
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000, 500]);
});

test("retry_after_ms is a floor, under the jitter and under every hurry", async () => {
  const { world, socket, sockets, story } = await connectedBench();
  await socket().say({ disconnect: { code: 1012, reason: "shutdown", reconnect: true, retry_after_ms: 5_000 } });
  await socket().die(1012, "shutdown");
  assert.equal(story.at(-1), "suspended 5250");
  world.chance = 0;
  await world.wake();
  assert.equal(story.at(-1), "suspended 5000");
  await world.advance(4_999);
  assert.equal(sockets.length, 1);
  await world.advance(1);
  assert.equal(sockets.length, 2);
});

test("waking while suspended retries soon, never later", async () => {
  const { world, socket, sockets, redial, story } = await connectedBench();
  for (let i = 0; i < 6; i++) {
    if (i > 0) await redial();
    await socket().die();
  }
  assert.equal(story.at(-1), "suspended 8000");
  await world.wake();
  assert.equal(story.at(-1), "suspended 250");
  await world.advance(100);
  await world.wake();
  assert.equal(story.at(-1), "suspended 250", "a later retry is no hurry");
  const before = sockets.length;
  await world.advance(150);
  assert.equal(sockets.length, before + 1);
});

test("a close that advises to stop ends in failed, and connect() starts over", async () => {
  const { client, world, socket, sockets } = await connectedBench();
  const told: unknown[] = [];
  client.on("disconnect", ({ willReconnect }) => told.push(willReconnect));
  await socket().die(4409, "replaced");
  assert.equal(client.state, "failed");
  assert.equal(client.session, undefined);
  assert.equal(world.timers.size, 0);
  assert.equal(world.wakeListeners.size, 0);
  assert.deepEqual(told, [false]);
  const error = await failure(client.publish("a", 1));
  assert.equal(error.kind, "closed");
  void client.connect();
  await settled();
  await sockets.at(-1)!.open();
  assert.equal(socket().last("connect").connect.resume_token, undefined, "who was replaced must not take it back");
});

test("connect() rejects when it ends before the first welcome", async () => {
  const { client, socket } = bench();
  const connecting = failure(client.connect());
  await settled();
  await socket().open();
  await socket().die(4403, "forbidden");
  const error: HawserError = await connecting;
  assert.equal(error.code, 4403);
  assert.equal(error.temporary, false);
});

test("close() ends everything and resolves with the socket's close", async () => {
  const { client, world, socket, story } = await connectedBench();
  const call = failure(client.publish("a", 1));
  await settled();
  let closed = false;
  void client.close().then(() => (closed = true));
  assert.equal((await call).kind, "closed");
  assert.equal(socket().closed, 1000);
  await settled();
  assert.equal(closed, false);
  await socket().die(1000);
  assert.equal(closed, true);
  assert.equal(world.timers.size, 0);
  assert.equal(world.wakeListeners.size, 0);
  assert.deepEqual(story, ["connecting", "connected", "closed"]);
  await client.close(); // once more is nothing
});

test("close() does not wait for ever", async () => {
  const { client, world } = await connectedBench();
  const closing = client.close();
  await world.advance(5_000);
  await closing;
});

test("close() sends what was called before it", async () => {
  const { client, socket } = await connectedBench();
  void failure(client.publish("a", "last words"));
  await Promise.resolve();
  void client.close();
  assert.equal(socket().last("publish").publish.data, "last words");
});

test("close() while connecting, suspended and initialized", async () => {
  const never = bench();
  await never.client.close();
  assert.equal(never.client.state, "closed");

  const dialing = bench();
  const connecting = failure(dialing.client.connect());
  await settled();
  void dialing.client.close();
  assert.equal((await connecting).kind, "closed");
  await dialing.socket().open(); // too late
  assert.deepEqual(dialing.socket().commands, []);

  const waiting = await connectedBench();
  await waiting.socket().die();
  await waiting.client.close();
  await waiting.world.advance(60_000);
  assert.equal(waiting.sockets.length, 1);
  assert.equal(waiting.world.timers.size, 0);
});

test("a listener may close the client", async () => {
  const { client, socket, story } = await connectedBench();
  client.on("disconnect", () => void client.close());
  await socket().die();
  assert.deepEqual(story, ["connecting", "connected", "suspended 250", "closed"]);
});

test("no welcome in time is a loss", async () => {
  const { client, world, socket, story } = bench({ connectTimeoutMs: 3_000 });
  void client.connect();
  await settled();
  await socket().open();
  await world.advance(3_000);
  assert.equal(story.at(-1), "suspended 250");
  assert.equal(socket().closed, 1005);
});

test("a socket that cannot be made fails for good, saying why", async () => {
  const { client } = bench({
    WebSocket: class {
      constructor() {
        throw new SyntaxError("mixed content");
      }
    } as never,
  });
  const error = await failure(client.connect());
  assert.equal(error.kind, "usage");
  assert.match(error.message, /mixed content/);
  assert.equal(client.state, "failed");
});

test("a frame that is no JSON is a loss, worth a retry", async () => {
  const { client, socket } = await connectedBench();
  for (const data of ["{", "[1]", "7"]) {
    const b = await connectedBench();
    b.socket().onmessage?.({ data });
    await settled();
    assert.equal(b.client.state, "suspended", data);
  }
  await socket().say({}, { id: 77, brand_new: {} } as never, { brand_new: 1 } as never);
  assert.equal(client.state, "connected", "unknown messages are ignored");
});

test("silence: ping after ping_ms, loss pong_ms later", async () => {
  const { client, world, socket } = await connectedBench();
  await world.advance(24_999);
  assert.equal(socket().commands.filter((c) => c.ping).length, 0);
  await world.advance(1);
  assert.deepEqual(socket().commands.at(-1), { ping: {} });
  await world.advance(9_999);
  assert.equal(client.state, "connected");
  await world.advance(1);
  assert.equal(client.state, "suspended");
  assert.equal(socket().closed, 1005);
});

test("any message ends the silence", async () => {
  const { client, world, socket } = await connectedBench();
  for (let i = 0; i < 5; i++) {
    await world.advance(30_000); // 25 s of silence, a ping, 5 s more
    await socket().say({ pong: {} });
  }
  for (let i = 0; i < 5; i++) {
    await world.advance(24_000);
    await socket().say({ publication: { channel: "nobody" } });
  }
  assert.equal(client.state, "connected");
  assert.equal(socket().commands.filter((c) => c.ping).length, 5);
});

test("waking while connected probes at once", async () => {
  const { client, world, socket } = await connectedBench();
  await world.wake();
  await world.wake();
  assert.equal(socket().commands.filter((c) => c.ping).length, 1);
  await world.advance(10_000);
  assert.equal(client.state, "suspended");
});

test("ping() measures, and does not wait for a connection", async () => {
  const { client, world, socket } = await connectedBench();
  const ping = client.ping();
  await world.advance(42);
  await socket().answer("ping", { pong: {} });
  assert.equal(await ping, 42);
  await socket().die();
  assert.equal((await failure(client.ping())).kind, "disconnected");
});

test("publish and rpc carry data and resolve with the answer", async () => {
  const { client, socket } = await connectedBench();
  const published = client.publish("news", { a: 1 });
  await settled();
  const { id, publish } = socket().last("publish");
  assert.deepEqual(publish, { channel: "news", data: { a: 1 } });
  await socket().say({ id: id!, published: {} });
  await published;

  const rpc = client.rpc("math.add", new Uint8Array([255]));
  await settled();
  assert.deepEqual(socket().last("rpc").rpc, { method: "math.add", data_base64: "/w==" });
  await socket().answer("rpc", { rpc: { data: 3 } });
  assert.equal(await rpc, 3);
});

test("the server's error keeps code, message and temporary", async () => {
  const { client, socket } = await connectedBench();
  const call = failure(client.rpc("a.b"));
  await settled();
  await socket().answer("rpc", { error: { code: 1042, message: "no such row", temporary: true } });
  const { kind, code, message, temporary } = await call;
  assert.deepEqual({ kind, code, message, temporary }, { kind: "server", code: 1042, message: "no such row", temporary: true });
});

test("a call ends within its timeout; a late answer is ignored", async () => {
  const { client, world, socket } = await connectedBench();
  const call = failure(client.rpc("a.b", null, { timeoutMs: 1_500 }));
  await world.advance(1_500);
  assert.equal((await call).kind, "timeout");
  await socket().answer("rpc", { rpc: { data: 1 } });
});

test("calls wait until the subscriptions are back, in order", async () => {
  const { client, socket } = bench();
  const first = client.publish("a", 1);
  client.subscribe("news", () => {});
  client.subscribe("secret", () => {});
  void failure(client.publish("a", 2));
  void client.connect();
  await settled();
  await socket().welcome();
  void failure(client.publish("a", 3)); // must not overtake the others
  const ping = client.ping(); // may: it waits for nothing
  await settled();
  const sent = socket().commands.slice(1);
  assert.deepEqual(sent.map((c) => Object.keys(c)[1]), ["subscribe", "subscribe", "ping"]);
  await socket().say({ id: sent[2]!.id!, pong: {} }, { id: sent[0]!.id!, subscribed: { channel: "news" } });
  await ping;
  assert.equal(socket().commands.filter((c) => c.publish).length, 0);
  await socket().say({ id: sent[1]!.id!, error: { code: 403, message: "no" } });
  const published = socket().commands.filter((c) => c.publish);
  assert.deepEqual(published.map((c) => c.publish?.data), [1, 2, 3]);
  assert.deepEqual(socket().frames.length, 4, "hello, subscribes, ping, then one frame for the rest");
  await socket().say({ id: published[0]!.id!, published: {} });
  await first;
});

test("a connection lost before the subscriptions are back keeps what waits", async () => {
  const { client, socket, redial } = await connectedBench();
  client.subscribe("news", () => {});
  await socket().die();
  void failure(client.publish("a", 1));
  await redial();
  await socket().welcome();
  await socket().die();
  await redial();
  await socket().welcome();
  assert.equal(socket().commands.filter((c) => c.publish).length, 0);
  await socket().answer("subscribe", { subscribed: { channel: "news" } });
  assert.equal(socket().commands.filter((c) => c.publish).length, 1);
});

test("what was sent and not answered ends with the connection; what waits goes on", async () => {
  const { client, world, socket } = await connectedBench();
  const sent = failure(client.publish("a", 1));
  await settled();
  await socket().die(1012);
  const error = await sent;
  assert.deepEqual([error.kind, error.code, error.temporary], ["disconnected", 1012, true]);
  const queued = client.publish("a", 2);
  await world.advance(250);
  await socket().welcome();
  await socket().answer("publish", { published: {} });
  await queued;
});

test("a full queue refuses by name", async () => {
  const { client } = bench({ maxQueue: 2 });
  void failure(client.publish("a", 1));
  void failure(client.publish("a", 2));
  const error = await failure(client.publish("a", 3));
  assert.deepEqual([error.kind, error.code, error.temporary], ["queue_full", 429, true]);
});

test("a call that timed out in the queue gives its place up and is never sent", async () => {
  const { client, world, socket } = bench({ maxQueue: 1, commandTimeoutMs: 1_000 });
  const late = failure(client.publish("a", 1));
  await world.advance(1_000);
  assert.equal((await late).kind, "timeout");
  const second = client.publish("a", 2);
  void client.connect();
  await settled();
  await socket().welcome();
  assert.deepEqual(socket().commands.map((c) => c.publish?.data).filter(Boolean), [2]);
  await socket().answer("publish", { published: {} });
  await second;
});

test("a full socket refuses by name, also within one turn", async () => {
  const { client, socket } = await connectedBench({ maxBufferedBytes: 100 });
  socket().bufferedAmount = 101;
  assert.equal((await failure(client.publish("a", 1))).kind, "queue_full");
  socket().bufferedAmount = 0;
  const calls = [1, 2].map(() => failure(client.publish("a", "x".repeat(100))));
  assert.equal((await calls[1]).kind, "queue_full");
  assert.equal(socket().commands.filter((c) => c.publish).length, 1);
});

test("data that JSON cannot say is a usage error", async () => {
  const { client } = await connectedBench();
  assert.equal((await failure(client.publish("a", 1n))).kind, "usage");
  assert.throws(() => client.subscribe("", () => {}), /channel name/);
});

test("direct messages and errors without an id are events", async () => {
  const { client, socket } = await connectedBench();
  const told: unknown[] = [];
  client.on("direct", (data) => told.push(data));
  const stop = client.on("error", (error) => told.push(error.code));
  await socket().say({ direct: { data: { hi: 1 } } }, { error: { code: 429, message: "slow down", temporary: true } });
  stop();
  await socket().say({ error: { code: 500 } });
  assert.deepEqual(told, [{ hi: 1 }, 429]);
});

test("a refused connect waits for the close that explains it", async () => {
  const { client, world, socket } = bench({ token: () => "t" });
  void failure(client.connect());
  await settled();
  await socket().open();
  await socket().answer("connect", { error: { code: 503, message: "no keys yet", temporary: true } });
  await socket().say({ disconnect: { code: 1013, reason: "overload", reconnect: true, retry_after_ms: 2_000 } });
  await socket().die(1013);
  assert.equal(client.state, "suspended");
  await world.advance(2_250);
  await socket().open();
  await socket().answer("connect", { error: { code: 400, message: "client_name over 64 bytes" } });
  await world.advance(1_000); // no close follows this one
  assert.equal(client.state, "failed");
});
