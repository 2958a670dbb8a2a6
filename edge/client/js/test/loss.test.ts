import assert from "node:assert/strict";
import { test } from "node:test";
import { causes } from "../src/causes.js";
import { lossOfClose, lossOfRefusal } from "../src/loss.js";

for (const [code, { name, advice, sentence }] of Object.entries(causes)) {
  if (code === "1000") continue; // below
  test(`close ${code} ${name} follows the table: ${advice}`, () => {
    const loss = lossOfClose(Number(code), name);
    assert.equal(loss.advice, advice);
    assert.equal(loss.error.code, Number(code));
    assert.equal(loss.error.temporary, advice !== "stop");
    assert.ok(loss.error.message.includes(sentence), loss.error.message);
  });
}

test("a farewell's word wins over the table", () => {
  const stop = lossOfClose(1012, "", { code: 1012, reason: "shutdown", reconnect: false });
  assert.equal(stop.advice, "stop");
  const retry = lossOfClose(4410, "", { code: 4410, reason: "kicked", reconnect: true, retry_after_ms: 900 });
  assert.equal(retry.advice, "retry");
  assert.equal(retry.floorMs, 900);
  const token = lossOfClose(1006, "", { code: 4401, reason: "token_expired", reconnect: true });
  assert.equal(token.advice, "token");
  assert.equal(token.error.code, 4401);
});

test("an unknown code, or a proxy's 1000, is worth a retry", () => {
  for (const code of [1000, 1014, 1015, 3000, 4999]) assert.equal(lossOfClose(code, "").advice, "retry", `code ${code}`);
  assert.equal(lossOfClose(4999, "why").error.message, "disconnected: 4999 why");
});

test("a refused connect lends its message to the close", () => {
  const { advice, error } = lossOfClose(4001, "bad_token", undefined, { code: 401, message: "token is for tenant x" });
  assert.equal(advice, "token");
  assert.ok(error.message.endsWith("token is for tenant x"));
});

test("a refused connect without a close", () => {
  assert.equal(lossOfRefusal({ code: 401, message: "m" }).advice, "token");
  assert.equal(lossOfRefusal({ code: 503, message: "m", temporary: true }).advice, "retry");
  assert.equal(lossOfRefusal({ code: 400, message: "m" }).advice, "stop");
});
