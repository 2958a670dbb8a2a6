// Tokens against a real hawser. HAWSER_URL names its WebSocket, HAWSER_TOKENS
// is a JSON object of tokens; tests/browser starts it and mints them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import WebSocket from "ws";
import { Hawser, HawserError, type TokenReason, type WebSocketConstructor } from "../src/hawser.js";

const url = process.env["HAWSER_URL"] ?? "";
const tokens = JSON.parse(process.env["HAWSER_TOKENS"] ?? "{}");
const options = { skip: tokens.ann ? false : "HAWSER_TOKENS is not set: tests/browser runs this" };

const start = (token: (reason: TokenReason) => string, more = {}) =>
  new Hawser({ url, token, WebSocket: WebSocket as unknown as WebSocketConstructor, backoffMinMs: 10, ...more });

// At once, as the short tokens run from the moment they were minted.
describe("tokens", { concurrency: true, ...options }, () => {
  test("a forged token is replaced by a good one", async () => {
    const reasons: string[] = [];
    const client = start((reason) => (reasons.push(reason) === 1 ? tokens.forged : tokens.ann));
    await client.connect();
    assert.equal(client.session?.user, "ann");
    assert.deepEqual(reasons, ["connect", "bad_token"]);
    await client.close();
  });

  test("tokens for another tenant, again and again, end in failed", async () => {
    const client = start(() => tokens.elsewhere);
    await assert.rejects(client.connect(), (error: HawserError) => error.code === 4001 && !!error.message);
    assert.equal(client.state, "failed");
    await client.close();
  });

  test("a token that runs out soon is refreshed on the live connection", async () => {
    // Two short ones: the second refresh is timed by the answer to the first.
    const given = [tokens.short, tokens.short2, tokens.ann];
    let done: () => void;
    const refreshedTwice = new Promise<void>((resolve) => (done = resolve));
    const reasons: string[] = [];
    const client = start((reason) => {
      if (reasons.push(reason) === given.length) done();
      return given[reasons.length - 1]!;
    });
    const errors: HawserError[] = [];
    client.on("error", (error) => errors.push(error));
    await client.connect();
    const { id } = client.session!;
    await refreshedTwice;
    await client.ping();
    assert.deepEqual(reasons, ["connect", "refresh", "refresh"]);
    assert.deepEqual(errors, []);
    assert.equal(client.session?.id, id);
    await client.close();
  });

  test("a token of another user does not take the session over", async () => {
    const client = start((reason) => (reason === "refresh" ? tokens.bob : tokens.short));
    const refused = new Promise<HawserError>((resolve) => client.on("error", resolve));
    await client.connect();
    assert.equal((await refused).code, 403);
    assert.equal(client.session?.user, "ann");
    await client.close();
  });
});
