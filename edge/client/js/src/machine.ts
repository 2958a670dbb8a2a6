// The connection's state machine: pure, so that a table can test it. The
// client runs the effects; time and chance stay there.
//
// | state       | event            | next        | effects                          |
// |-------------|------------------|-------------|----------------------------------|
// | initialized | connect          | connecting  | dial                             |
// | initialized | close            | closed      | end                              |
// | connecting  | welcome          | connected   | greet                            |
// | connecting  | lost retry       | suspended   | wait                             |
// | connecting  | lost token       | suspended   | discard_token, wait              |
// | connecting  | lost token, last | failed      | discard_token, end               |
// | connecting  | lost stop        | failed      | end                              |
// | connecting  | close            | closed      | hang_up, end                     |
// | connected   | lost …           | as above    | detach first                     |
// | connected   | stable           | connected   | (the backoff starts anew)        |
// | connected   | wake             | connected   | probe                            |
// | connected   | close            | closed      | detach, hang_up, end             |
// | suspended   | retry            | connecting  | dial                             |
// | suspended   | wake, connect    | suspended   | hurry                            |
// | suspended   | close            | closed      | stop_waiting, end                |
// | failed      | close            | closed      |                                  |
// | closed, failed | connect       | connecting  | dial (all counters start anew)   |
//
// Any other pair changes nothing: it is late news of something given up.

import type { Loss } from "./loss.js";
import type { HawserError } from "./errors.js";

/**
 * - `initialized`: nothing was asked for yet.
 * - `connecting`: getting a token, dialing, or waiting for the welcome.
 * - `connected`: commands flow.
 * - `suspended`: waiting to retry.
 * - `closed`: by `close()`.
 * - `failed`: by a close that advises to stop; `connect()` tries again.
 */
export type State = "initialized" | "connecting" | "connected" | "suspended" | "closed" | "failed";

/** The machine's whole memory. */
export interface Machine {
  readonly state: State;
  /** Losses since the last stable connection. */
  readonly attempt: number;
  /** Tokens refused since the last stable connection. */
  readonly refusals: number;
}

/** What happens to a connection. */
export type Event =
  | { readonly type: "connect" | "close" | "welcome" | "stable" | "retry" | "wake" }
  | { readonly type: "lost"; readonly loss: Loss };

/** What the client does about it. */
export type Effect =
  | { readonly do: "dial" | "greet" | "detach" | "hang_up" | "hurry" | "stop_waiting" | "probe" | "discard_token" }
  | { readonly do: "wait"; readonly attempt: number; readonly floorMs: number }
  | { readonly do: "end"; readonly error?: HawserError };

/** What step needs to know of the settings. */
export interface Rules {
  /** Tokens come from a function, so a refused one can be replaced. */
  readonly renewable: boolean;
  readonly maxTokenRefusals: number;
}

export interface Step {
  readonly machine: Machine;
  readonly effects: readonly Effect[];
}

export const initial: Machine = { state: "initialized", attempt: 0, refusals: 0 };

/** The transition table above. */
export function step(machine: Machine, event: Event, rules: Rules): Step {
  const { state } = machine;
  const to = (next: State, ...effects: Effect[]): Step => ({ machine: { ...machine, state: next }, effects });
  const live = state === "connecting" || state === "connected";

  switch (event.type) {
    case "connect":
      if (state === "suspended") return to(state, { do: "hurry" });
      if (live) return to(state);
      return { machine: { ...initial, state: "connecting" }, effects: [{ do: "dial" }] };
    case "welcome":
      return state === "connecting" ? to("connected", { do: "greet" }) : to(state);
    case "lost":
      return live ? lost(machine, event.loss, rules) : to(state);
    case "stable":
      return state === "connected" ? { machine: { state, attempt: 0, refusals: 0 }, effects: [] } : to(state);
    case "retry":
      return state === "suspended" ? to("connecting", { do: "dial" }) : to(state);
    case "wake":
      if (state === "connected") return to(state, { do: "probe" });
      return state === "suspended" ? to(state, { do: "hurry" }) : to(state);
    case "close":
      return to("closed", ...closing(state));
  }
}

function closing(state: State): Effect[] {
  switch (state) {
    case "initialized":
      return [{ do: "end" }];
    case "connecting":
      return [{ do: "hang_up" }, { do: "end" }];
    case "connected":
      return [{ do: "detach" }, { do: "hang_up" }, { do: "end" }];
    case "suspended":
      return [{ do: "stop_waiting" }, { do: "end" }];
    default:
      return [];
  }
}

function lost({ state, attempt, refusals }: Machine, loss: Loss, rules: Rules): Step {
  const effects: Effect[] = state === "connected" ? [{ do: "detach" }] : [];
  if (loss.advice === "token") {
    refusals++;
    effects.push({ do: "discard_token" });
  }
  const hopeless = loss.advice === "token" && (!rules.renewable || refusals >= rules.maxTokenRefusals);
  if (hopeless || loss.advice === "stop") {
    effects.push({ do: "end", error: loss.error });
    return { machine: { state: "failed", attempt, refusals }, effects };
  }
  effects.push({ do: "wait", attempt, floorMs: loss.floorMs });
  return { machine: { state: "suspended", attempt: attempt + 1, refusals }, effects };
}
