import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs } from "../src/backoff.js";
import { HawserError } from "../src/errors.js";
import { step, type Event, type Machine, type State } from "../src/machine.js";
import type { Advice } from "../src/causes.js";

const rules = { renewable: true, maxTokenRefusals: 3 };

const lost = (advice: Advice, floorMs = 0): Event => ({
  type: "lost",
  loss: { advice, floorMs, error: new HawserError("disconnected", 1006, "test", advice !== "stop") },
});

const events: Record<string, Event> = {
  connect: { type: "connect" },
  close: { type: "close" },
  welcome: { type: "welcome" },
  stable: { type: "stable" },
  retry: { type: "retry" },
  wake: { type: "wake" },
  "lost retry": lost("retry"),
  "lost token": lost("token"),
  "lost stop": lost("stop"),
};

/** The table of machine.ts. What is not listed stays, without effects. */
const table: [State, string, State, string][] = [
  ["initialized", "connect", "connecting", "dial"],
  ["initialized", "close", "closed", "end"],
  ["connecting", "welcome", "connected", "greet"],
  ["connecting", "lost retry", "suspended", "wait"],
  ["connecting", "lost token", "suspended", "discard_token wait"],
  ["connecting", "lost stop", "failed", "end"],
  ["connecting", "close", "closed", "hang_up end"],
  ["connected", "lost retry", "suspended", "detach wait"],
  ["connected", "lost token", "suspended", "detach discard_token wait"],
  ["connected", "lost stop", "failed", "detach end"],
  ["connected", "wake", "connected", "probe"],
  ["connected", "close", "closed", "detach hang_up end"],
  ["suspended", "retry", "connecting", "dial"],
  ["suspended", "wake", "suspended", "hurry"],
  ["suspended", "connect", "suspended", "hurry"],
  ["suspended", "close", "closed", "stop_waiting end"],
  ["closed", "connect", "connecting", "dial"],
  ["failed", "connect", "connecting", "dial"],
  ["failed", "close", "closed", ""],
];

const states: State[] = ["initialized", "connecting", "connected", "suspended", "closed", "failed"];

for (const state of states) {
  for (const [name, event] of Object.entries(events)) {
    const row = table.find((r) => r[0] === state && r[1] === name);
    const [next, effects] = row ? [row[2], row[3]] : [state, ""];
    test(`${state} + ${name} → ${next}`, () => {
      const got = step({ state, attempt: 0, refusals: 0 }, event, rules);
      assert.equal(got.machine.state, next);
      assert.equal(got.effects.map((e) => e.do).join(" "), effects);
    });
  }
}

test("each loss raises the attempt, a stable connection resets it", () => {
  let machine: Machine = { state: "connecting", attempt: 0, refusals: 0 };
  for (let attempt = 0; attempt < 3; attempt++) {
    const { machine: next, effects } = step({ ...machine, state: "connecting" }, lost("retry", 700), rules);
    assert.deepEqual(effects, [{ do: "wait", attempt, floorMs: 700 }]);
    machine = next;
  }
  machine = step({ ...machine, state: "connecting" }, { type: "welcome" }, rules).machine;
  assert.equal(machine.attempt, 3, "a welcome alone proves nothing");
  assert.equal(step(machine, { type: "stable" }, rules).machine.attempt, 0);
});

test("tokens refused too often, or not renewable, end in failed", () => {
  const at = (refusals: number): Machine => ({ state: "connecting", attempt: 0, refusals });
  assert.equal(step(at(1), lost("token"), rules).machine.state, "suspended");
  assert.equal(step(at(2), lost("token"), rules).machine.state, "failed");
  assert.equal(step(at(0), lost("token"), { ...rules, renewable: false }).machine.state, "failed");
});

test("full jitter: from the floor to the doubling ceiling", () => {
  const bounds = { minMs: 500, maxMs: 20_000 };
  for (const [attempt, floorMs, random, want] of [
    [0, 0, 0, 0],
    [0, 0, 1, 500],
    [1, 0, 1, 1_000],
    [5, 0, 1, 16_000],
    [6, 0, 1, 20_000],
    [1_000_000, 0, 1, 20_000],
    [3, 0, 0.5, 2_000],
    [0, 3_000, 0, 3_000],
    [0, 3_000, 0.5, 3_250],
  ] as const) {
    assert.equal(backoffMs(attempt, floorMs, random, bounds), want, `attempt ${attempt} floor ${floorMs} random ${random}`);
  }
});
