import assert from "node:assert/strict";
import { test } from "node:test";
import { HawserError } from "../src/errors.js";
import type { TokenReason } from "../src/options.js";
import { bench, connectedBench, failure, settled } from "./world.js";

/** A token function that counts: t1, t2, … */
function counter() {
  const reasons: TokenReason[] = [];
  return { reasons, token: async (reason: TokenReason) => `t${reasons.push(reason)}` };
}

test("a token is asked for once and kept over reconnects", async () => {
  const { reasons, token } = counter();
  const { world, socket } = await connectedBench({ token });
  await socket().die();
  await world.advance(250);
  await socket().open();
  assert.equal(socket().last("connect").connect.token, "t1");
  assert.deepEqual(reasons, ["connect"]);
});

test("a refused token is replaced once for each refusal", async () => {
  const { reasons, token } = counter();
  const { client, world, socket } = await connectedBench({ token });
  await socket().die(4401, "token_expired");
  await world.advance(250);
  await socket().open();
  assert.equal(socket().last("connect").connect.token, "t2");
  await socket().die(4001, "bad_token");
  await world.advance(500);
  assert.deepEqual(reasons, ["connect", "token_expired", "bad_token"]);
  await socket().open();
  await socket().die(4001, "bad_token");
  assert.equal(client.state, "failed", "three in a row");
  assert.equal(reasons.length, 3);
});

test("a fixed token that is refused fails at once", async () => {
  const { client, socket } = bench({ token: "fixed" });
  const connecting = failure(client.connect());
  await settled();
  await socket().open();
  await socket().die(4001, "bad_token");
  assert.equal((await connecting).code, 4001);
  assert.equal(client.state, "failed");
});

test("a token that is known to be expired is not presented", async () => {
  const { reasons, token } = counter();
  const { world, socket } = await connectedBench({ token });
  await socket().die();
  await world.advance(250);
  await socket().welcome({ expires_ms: 100_000 });
  await socket().die();
  world.time += 100_000; // asleep, past its expiry
  await world.advance(500);
  await socket().open();
  assert.equal(socket().last("connect").connect.token, "t2");
  assert.deepEqual(reasons, ["connect", "token_expired"]);
});

test("refreshes at 70 to 85 % of a token's life, again and again", async () => {
  const { reasons, token } = counter();
  const { client, world, socket } = bench({ token });
  void client.connect();
  await settled();
  await socket().welcome({ expires_ms: 100_000, ping_ms: 1e9 });
  await world.advance(77_499);
  assert.deepEqual(reasons, ["connect"]);
  await world.advance(1);
  assert.equal(socket().last("refresh").refresh.token, "t2");
  await socket().answer("refresh", { refreshed: { expires_ms: 50_000 } });
  await world.advance(38_750);
  assert.equal(socket().last("refresh").refresh.token, "t3");
  await socket().answer("refresh", { refreshed: {} }); // for ever
  await world.advance(1_000_000);
  assert.deepEqual(reasons, ["connect", "refresh", "refresh"]);
  await socket().die();
  await world.advance(250);
  await socket().open();
  assert.equal(socket().last("connect").connect.token, "t3");
});

test("a failing refresh is reported and tried again at half the time left", async () => {
  const times: number[] = [];
  const { client, world, socket } = bench({
    token: (reason) => {
      times.push(world.time);
      if (reason === "refresh") throw new Error("endpoint down");
      return "t1";
    },
  });
  const errors: string[] = [];
  client.on("error", (error) => errors.push(error.message));
  void client.connect();
  await settled();
  await socket().welcome({ expires_ms: 100_000, ping_ms: 1e9 });
  await world.advance(98_000);
  assert.deepEqual(times.slice(0, 4), [0, 77_500, 88_750, 94_375]);
  assert.match(errors[0]!, /endpoint down/);
  await world.advance(10_000);
  assert.ok(times.length < 10, "stops near the end");
  assert.equal(client.state, "connected", "the server decides when it is over");
});

test("a failing token function is retried with backoff, a final no fails", async () => {
  let tries = 0;
  const { client, world, story } = bench({
    token: () => {
      if (++tries < 3) throw new Error("network down");
      throw new HawserError("token", 401, "logged out", false);
    },
  });
  const connecting = failure(client.connect());
  await world.advance(10_000);
  assert.deepEqual(story, ["connecting", "suspended 250", "connecting", "suspended 500", "connecting", "failed"]);
  assert.equal((await connecting).message, "logged out");
});

test("a token function that never answers is a loss; its late answer is ignored", async () => {
  let answer: (token: string) => void = () => {};
  const { client, world, sockets, story } = bench({ token: () => new Promise((resolve) => (answer = resolve)) });
  void failure(client.connect());
  await world.advance(10_000);
  assert.equal(story.at(-1), "suspended 250");
  answer("late");
  await settled();
  assert.equal(sockets.length, 0);
  await client.close();
});

test("close() while a token is awaited dials nothing, and forgets the token", async () => {
  const { reasons, token } = counter();
  const { client, sockets } = bench({ token });
  void failure(client.connect());
  await client.close();
  await settled();
  assert.equal(sockets.length, 0);
  void failure(client.connect());
  await settled();
  assert.equal(sockets.length, 1);
  assert.deepEqual(reasons, ["connect", "connect"]);
});
