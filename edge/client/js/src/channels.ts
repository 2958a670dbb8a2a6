import { backoffMs } from "./backoff.js";
import type { Calls, Outcome } from "./calls.js";
import type { Environment, Stop } from "./environment.js";
import type { HawserError } from "./errors.js";
import type { Announcer } from "./events.js";
import { serverError } from "./loss.js";
import type { Settings } from "./options.js";
import { Subscription, type Handler, type Publication } from "./subscription.js";
import { fromPayload, type Command, type ServerMessage, type WireError } from "./wire.js";

/** One channel and its handlers, which share one subscription on the wire. */
interface Channel {
  readonly name: string;
  readonly subscriptions: Set<Subscription<any>>;
  active: boolean; // the server said so on this link
  attempt: number; // temporary refusals in a row
  stopTimer: Stop; // the next try after one
}

const nothing = (): void => {};

/**
 * Which channels are wanted and which are active. What is wanted is asked for
 * again on every new link.
 */
export class Channels {
  readonly #env: Environment;
  readonly #settings: Settings;
  readonly #calls: Calls;
  readonly #announcer: Announcer;
  readonly #report: (error: HawserError) => void;
  readonly #channels = new Map<string, Channel>();
  #attached = false; // there is a welcomed link

  constructor(env: Environment, settings: Settings, calls: Calls, announcer: Announcer, report: (error: HawserError) => void) {
    this.#env = env;
    this.#settings = settings;
    this.#calls = calls;
    this.#announcer = announcer;
    this.#report = report;
  }

  add<T>(name: string, handler: Handler<T>): Subscription<T> {
    const subscription = new Subscription<T>(name, handler, this.#announcer, (s) => this.#remove(s));
    const known = this.#channels.get(name);
    if (known) {
      known.subscriptions.add(subscription);
      if (known.active) subscription.become("active");
      return subscription;
    }
    const channel: Channel = { name, subscriptions: new Set([subscription]), active: false, attempt: 0, stopTimer: nothing };
    this.#channels.set(name, channel);
    if (this.#attached) this.#ask(channel);
    return subscription;
  }

  /** Asks for every channel on a new link. `settled` is called once, when each was answered or the link is gone. */
  attach(settled: () => void): void {
    this.#attached = true;
    let open = this.#channels.size;
    if (open === 0) settled();
    for (const channel of this.#channels.values()) this.#ask(channel, () => --open === 0 && settled());
  }

  /** The link is gone; everything waits for the next one. */
  detach(): void {
    this.#attached = false;
    for (const channel of this.#channels.values()) this.#suspend(channel);
  }

  /** The client is closed: whoever waits is told. Subscriptions stay wanted. */
  end(error: HawserError): void {
    for (const { subscriptions } of this.#channels.values()) for (const s of subscriptions) s.giveUp(error); // none is active by now
  }

  /** Hands a publication to its handlers. One for a channel that is not active belongs to a subscription given up. */
  deliver(from: NonNullable<ServerMessage["publication"]>): void {
    const channel = this.#channels.get(from.channel);
    if (!channel?.active) return;
    const publication: Publication = { channel: from.channel, seq: from.seq ?? 0, data: fromPayload(from) };
    for (const s of channel.subscriptions) this.#announcer.announce(() => s.deliver(publication));
  }

  /** The server ended a subscription by itself. */
  dropped(name: string, why: WireError | undefined): void {
    const channel = this.#channels.get(name);
    if (!channel?.active) return;
    this.#suspend(channel);
    this.#refused(channel, serverError(why ?? { code: 500, message: "the server ended the subscription", temporary: true }));
  }

  #remove(subscription: Subscription<any>): void {
    subscription.become("ended");
    const channel = this.#channels.get(subscription.channel);
    if (!channel?.subscriptions.delete(subscription) || channel.subscriptions.size > 0) return;
    this.#forget(channel);
    // Commands are done in order, so a subscription still being asked for ends too.
    if (this.#attached) this.#giveUp(channel);
  }

  #giveUp({ name }: Channel): void {
    this.#send({ unsubscribe: { channel: name } }, nothing);
  }

  #ask(channel: Channel, answered: () => void = nothing): void {
    channel.stopTimer();
    this.#send({ subscribe: { channel: channel.name } }, ({ error }) => {
      if (!this.#wants(channel)) return answered();
      if (error) this.#refused(channel, error);
      else this.#accepted(channel);
      answered();
    });
  }

  #send(command: Command, done: (outcome: Outcome) => void): void {
    this.#calls.start(command, this.#settings.commandTimeoutMs, done, true);
  }

  /** Whether an answer about `channel` still matters. */
  #wants(channel: Channel): boolean {
    return this.#attached && this.#channels.get(channel.name) === channel;
  }

  #accepted(channel: Channel): void {
    channel.active = true;
    channel.attempt = 0;
    for (const s of channel.subscriptions) s.become("active");
  }

  #refused(channel: Channel, error: HawserError): void {
    this.#report(error);
    // The server may still be at it, and would call the next try a second one.
    if (error.kind === "timeout") this.#giveUp(channel);
    if (error.temporary) {
      for (const s of channel.subscriptions) s.become("pending", error);
      const { backoffMinMs: minMs, backoffMaxMs: maxMs } = this.#settings;
      const ms = backoffMs(channel.attempt++, 0, this.#env.random(), { minMs, maxMs });
      channel.stopTimer = this.#env.after(ms, () => this.#ask(channel));
      return;
    }
    this.#forget(channel);
    for (const s of channel.subscriptions) s.become("ended", error);
  }

  #suspend(channel: Channel): void {
    channel.active = false;
    channel.attempt = 0;
    channel.stopTimer();
    for (const s of channel.subscriptions) s.become("pending");
  }

  #forget(channel: Channel): void {
    channel.stopTimer();
    this.#channels.delete(channel.name);
  }
}
