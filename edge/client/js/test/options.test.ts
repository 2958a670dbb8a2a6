import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { test } from "node:test";
import { HawserError } from "../src/errors.js";
import { settle, VERSION, type Options } from "../src/options.js";
import { fromPayload, pack, toPayload } from "../src/wire.js";
import { Socket } from "./world.js";

const base: Options = { url: "ws://host/ws/demo", WebSocket: Socket };

test("defaults", () => {
  const { commandTimeoutMs, maxQueue, clientName, token } = settle({ ...base, maxQueue: undefined });
  assert.deepEqual({ commandTimeoutMs, maxQueue, clientName, token }, { commandTimeoutMs: 10_000, maxQueue: 64, clientName: "hawser-js", token: undefined });
});

for (const [url, want] of [
  ["ws://host/ws/demo", "ws://host/ws/demo"],
  ["https://host/ws/demo", "wss://host/ws/demo"],
  ["http://host:8080/ws/demo#x", "ws://host:8080/ws/demo"],
] as const) {
  test(`url ${url}`, () => assert.equal(settle({ ...base, url }).url, want));
}

for (const [name, options] of Object.entries({
  url: { url: "/ws/demo" },
  "want ws: or wss:": { url: "ftp://host/" },
  WebSocket: { WebSocket: 1 as never },
  connectTimeoutMs: { connectTimeoutMs: 0 },
  maxQueue: { maxQueue: Number.NaN },
  stableMs: { stableMs: "soon" as never },
  clientName: { clientName: 7 as never },
  backoffMaxMs: { backoffMinMs: 100, backoffMaxMs: 50 },
})) {
  test(`refuses ${JSON.stringify(options)}, naming ${name}`, () => {
    assert.throws(
      () => settle({ ...base, ...options }),
      (error: HawserError) => error instanceof HawserError && error.kind === "usage" && error.message.includes(name),
    );
  });
}

test("the version is package.json's", () => {
  assert.equal(VERSION, JSON.parse(readFileSync("package.json", "utf8")).version);
});

test("the built module stays within 15 KB, gzip", () => {
  const bytes = gzipSync(readFileSync("dist/hawser.min.js")).length;
  assert.ok(bytes <= 15 * 1024, `${bytes} bytes`);
});

test("payloads come back as they went", () => {
  for (const data of [null, 0, false, "", "text", [1, { a: [] }], undefined]) {
    assert.deepEqual(fromPayload(JSON.parse(JSON.stringify(toPayload(data)))), data);
  }
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => i % 256);
  assert.deepEqual(fromPayload(toPayload(bytes)), bytes);
  assert.deepEqual(fromPayload(toPayload(bytes.buffer)), bytes);
  assert.deepEqual(fromPayload(toPayload(bytes.subarray(5, 9))), bytes.slice(5, 9));
});

test("frames hold at most 128 commands", () => {
  const commands = Array.from({ length: 300 }, (_, i) => `{"id":${i}}`);
  const frames = pack(commands).map((frame) => JSON.parse(frame));
  assert.deepEqual(frames.map((f) => f.length), [128, 128, 44]);
  assert.deepEqual(frames.flat().map((c) => c.id), commands.map((_, i) => i));
  assert.deepEqual(pack([`{"id":1}`]), [`{"id":1}`]);
  assert.deepEqual(pack([]), []);
});
