import type { Environment, Stop } from "./environment.js";
import { HawserError, usageError } from "./errors.js";
import { FIRST_CALL_ID, type Link } from "./link.js";
import { serverError } from "./loss.js";
import type { Command, ServerMessage } from "./wire.js";

const MAX_ID = 2 ** 32 - 1; // uint32 in client.proto

/** How a call ended: exactly one member is there. */
export interface Outcome {
  readonly answer?: ServerMessage;
  readonly error?: HawserError;
}

/** One command that waits for its answer, or for a connection. */
interface Call {
  readonly text: string;
  readonly done: (outcome: Outcome) => void;
  readonly stopTimer: Stop;
  sent: boolean;
}

/**
 * Commands and their answers. Until a link is ready they wait in a queue of at
 * most `maxQueue`; what goes beyond is refused with `queue_full`. Urgent ones,
 * which the SDK makes itself, overtake the queue once there is a link. Each
 * call ends within its timeout, whatever happens.
 */
export class Calls {
  readonly #env: Environment;
  readonly #maxQueue: number;
  readonly #calls = new Map<number, Call>(); // by id; in the order of the calls
  #queued = 0; // calls not sent yet
  #link: Link | undefined;
  #ready = false; // the link takes what is not urgent, too
  #lastId = FIRST_CALL_ID - 1;

  constructor(env: Environment, maxQueue: number) {
    this.#env = env;
    this.#maxQueue = maxQueue;
  }

  /** Sends `command`, now or once there is a link, and resolves with its answer. */
  call(command: Command, timeoutMs: number, urgent = false): Promise<ServerMessage> {
    return new Promise((resolve, reject) => {
      this.start(command, timeoutMs, ({ answer, error }) => (answer ? resolve(answer) : reject(error)), urgent);
    });
  }

  /**
   * The same with a callback, which is called exactly once, before the message
   * behind the answer is looked at: a promise would be later than that.
   */
  start(command: Command, timeoutMs: number, done: (outcome: Outcome) => void, urgent: boolean): void {
    const id = this.#nextId();
    let text: string;
    try {
      text = JSON.stringify({ id, ...command });
    } catch (cause) {
      return done({ error: usageError("the data cannot be said in JSON", cause) });
    }
    const link = this.#ready || urgent ? this.#link : undefined;
    const full = this.#overflow(link);
    if (full) return done({ error: full });
    const stopTimer = this.#env.after(timeoutMs, () => {
      this.#settle(id, { error: new HawserError("timeout", 504, `no answer within ${timeoutMs} ms`, true) });
    });
    const call: Call = { text, done, stopTimer, sent: false };
    this.#calls.set(id, call);
    this.#queued++;
    if (link) this.#send(call, link);
  }

  /** Urgent calls go out by `link` from now on. */
  attach(link: Link): void {
    this.#link = link;
  }

  /** All others do, too; first those that wait, in the order of the calls. */
  flush(): void {
    if (!this.#link) return;
    this.#ready = true;
    for (const call of this.#calls.values()) if (!call.sent) this.#send(call, this.#link);
  }

  /** The link is gone: calls without an answer end with `error`, those not sent wait for the next one. */
  detach(error: HawserError): void {
    this.#link = undefined;
    this.#ready = false;
    for (const [id, call] of this.#calls) if (call.sent) this.#settle(id, { error });
  }

  /** Every call ends with `error`. There is no link by now. */
  end(error: HawserError): void {
    for (const id of this.#calls.keys()) this.#settle(id, { error });
  }

  /** Takes a message that may be an answer. Late and unknown ids are ignored. */
  answer(message: ServerMessage): void {
    if (message.id) this.#settle(message.id, message.error ? { error: serverError(message.error) } : { answer: message });
  }

  #send(call: Call, link: Link): void {
    call.sent = true;
    this.#queued--;
    link.send(call.text);
  }

  #settle(id: number, outcome: Outcome): void {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    if (!call.sent) this.#queued--;
    call.stopTimer();
    call.done(outcome);
  }

  #overflow(link: Link | undefined): HawserError | undefined {
    const full = link ? !link.writable : this.#queued >= this.#maxQueue;
    if (!full) return undefined;
    const where = link ? "maxBufferedBytes wait in the socket" : `${this.#maxQueue} commands wait for a connection`;
    return new HawserError("queue_full", 429, `not sent: ${where} already`, true);
  }

  #nextId(): number {
    do {
      this.#lastId = this.#lastId >= MAX_ID ? FIRST_CALL_ID : this.#lastId + 1;
    } while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }
}
