// src/backoff.ts
function backoffMs(attempt, floorMs, random, { minMs, maxMs }) {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return floorMs + Math.round(random * ceiling);
}

// src/errors.ts
var HawserError = class extends Error {
  constructor(kind, code, message, temporary, options) {
    super(message, options);
    this.kind = kind;
    this.code = code;
    this.temporary = temporary;
  }
  kind;
  code;
  temporary;
  name = "HawserError";
};
function closedError() {
  return new HawserError("closed", 1e3, "the client is closed: call connect() first", false);
}
function usageError(message, cause) {
  return new HawserError("usage", 400, message, false, cause === void 0 ? void 0 : { cause });
}

// src/causes.ts
var causes = {
  1e3: { name: "client_closed", advice: "stop", sentence: "The client closed the connection normally." },
  1001: { name: "client_gone", advice: "retry", sentence: "The page or app went away; it reconnects when it is back." },
  1002: { name: "protocol_error", advice: "stop", sentence: "The client broke RFC 6455: unmasked, reserved or badly fragmented frames. Fix the client." },
  1003: { name: "wrong_data_type", advice: "stop", sentence: "A binary frame came on hawser.v1.json or a text frame on hawser.v1.proto. Fix the client." },
  1005: { name: "no_status", advice: "retry", sentence: "The client sent a close frame without a code." },
  1006: { name: "peer_lost", advice: "retry", sentence: "The TCP connection ended without a close frame: reset, network loss or a killed client." },
  1007: { name: "bad_utf8", advice: "stop", sentence: "A text message was not valid UTF-8. Fix the client." },
  1009: { name: "too_big", advice: "stop", sentence: "A message was larger than edge.max_message_bytes. Send less or raise the limit." },
  1011: { name: "internal", advice: "retry", sentence: "hawser failed on this connection; the log of the node has the reason." },
  1012: { name: "shutdown", advice: "retry", sentence: "The node is stopping for maintenance; reconnect after the advised delay." },
  1013: { name: "overload", advice: "retry", sentence: "The node sheds load; reconnect after the advised delay." },
  4001: { name: "bad_token", advice: "token", sentence: "The token is missing, forged, expired or for another tenant. Get a new one." },
  4400: { name: "bad_request", advice: "stop", sentence: "A message was not JSON or protobuf of this protocol, or connect was not the first. Fix the client." },
  4401: { name: "token_expired", advice: "token", sentence: "The token ran out on a live connection. Refresh it in time, or reconnect with a new one." },
  4403: { name: "forbidden", advice: "stop", sentence: "This user may not connect here." },
  4408: { name: "pong_timeout", advice: "retry", sentence: "The client answered no ping within edge.pong_timeout: dead, asleep or cut off." },
  4409: { name: "replaced", advice: "stop", sentence: "A newer connection resumed this session; this older one gave way." },
  4410: { name: "kicked", advice: "stop", sentence: "An operator or the application ended the session." },
  4413: { name: "slow_consumer", advice: "retry", sentence: "The client read too slowly and its outbox passed edge.outbox_bytes." },
  4429: { name: "rate_limited", advice: "retry", sentence: "The client sent far more than edge.rate_messages per second, and went on after errors 429." },
  4440: { name: "connect_timeout", advice: "retry", sentence: "No connect command within edge.connect_timeout after the handshake." }
};

// src/loss.ts
function lossOfClose(code, reason, farewell, refusal) {
  const known = causes[farewell?.code ?? code];
  let advice = known?.advice ?? "retry";
  if (code === 1e3) advice = "retry";
  if (farewell?.reconnect === false) advice = "stop";
  else if (farewell && advice === "stop") advice = "retry";
  const number = farewell?.code ?? code;
  const name = farewell?.reason || reason || known?.name || "closed";
  const detail = refusal?.message ?? known?.sentence;
  const message = `disconnected: ${number} ${name}${detail ? `: ${detail}` : ""}`;
  const error = new HawserError("disconnected", number, message, advice !== "stop");
  return { advice, floorMs: farewell?.retry_after_ms ?? 0, error };
}
function lossOfRefusal(refused) {
  const error = serverError(refused);
  const advice = error.temporary ? "retry" : error.code === 401 ? "token" : "stop";
  return { advice, floorMs: 0, error };
}
function lossOf(error) {
  return { advice: error.temporary ? "retry" : "stop", floorMs: 0, error };
}
function serverError({ code = 500, message = "no message", temporary = false }) {
  return new HawserError("server", code, message, temporary);
}

// src/wire.ts
var SUBPROTOCOL = "hawser.v1.json";
var MAX_MESSAGES_PER_FRAME = 128;
function pack(commands) {
  const frames = [];
  for (let i = 0; i < commands.length; i += MAX_MESSAGES_PER_FRAME) {
    const some = commands.slice(i, i + MAX_MESSAGES_PER_FRAME);
    frames.push(some.length === 1 ? some[0] : `[${some.join()}]`);
  }
  return frames;
}
function decode(frame) {
  const parsed = JSON.parse(frame);
  const messages = Array.isArray(parsed) ? parsed : [parsed];
  if (!messages.every((m) => typeof m === "object" && m !== null)) throw new TypeError("want objects");
  return messages;
}
function toPayload(data) {
  if (data instanceof ArrayBuffer) return { data_base64: toBase64(new Uint8Array(data)) };
  if (ArrayBuffer.isView(data)) {
    return { data_base64: toBase64(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) };
  }
  return data === void 0 ? {} : { data };
}
function fromPayload(payload) {
  if (payload.data_base64 === void 0) return payload.data;
  return Uint8Array.from(atob(payload.data_base64), (c) => c.charCodeAt(0));
}
function toBase64(bytes) {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

// src/link.ts
var FIRST_CALL_ID = 2;
var CONNECT_ID = 1;
var CLOSE_TIMEOUT_MS = 5e3;
var REFUSAL_GRACE_MS = 1e3;
var PING_MS = 25e3;
var PONG_MS = 1e4;
var Link = class {
  #env;
  #owner;
  #socket;
  #maxBufferedBytes;
  #out = [];
  // commands of this turn; emptied by the microtask that the first one starts
  #outChars = 0;
  // their length
  #opened = false;
  #welcomed = false;
  #over = false;
  // lost or closed: nothing more is told
  #farewell;
  #refusal;
  // the error that answered connect
  // The watch for silence.
  #pingMs = PING_MS;
  #pongMs = PONG_MS;
  #readAt = 0;
  // when the last message came
  #stopTimer;
  // one timer: connect deadline, then the next ping, then its pong
  #probing = false;
  // a ping is out
  /** @throws whatever the WebSocket constructor throws: a bad URL, mixed content. */
  constructor(env, settings, hello, owner) {
    this.#env = env;
    this.#owner = owner;
    this.#maxBufferedBytes = settings.maxBufferedBytes;
    const socket = this.#socket = new settings.WebSocket(settings.url, [SUBPROTOCOL]);
    socket.onopen = () => {
      this.#opened = true;
      this.send(JSON.stringify({ id: CONNECT_ID, connect: hello }));
    };
    socket.onmessage = (event) => this.#read(event.data);
    socket.onclose = ({ code, reason }) => this.#lose(this.#opened ? lossOfClose(code, reason, this.#farewell, this.#refusal) : notOpened(code));
    socket.onerror = () => {
    };
    this.#stopTimer = env.after(settings.connectTimeoutMs, () => this.#timeOut("no welcome", settings.connectTimeoutMs));
  }
  /** Whether the socket has room for one more command. */
  get writable() {
    return this.#outChars + this.#socket.bufferedAmount <= this.#maxBufferedBytes;
  }
  /** Writes a command, together with others of this turn. */
  send(command) {
    this.#out.push(command);
    this.#outChars += command.length;
    if (this.#out.length === 1) queueMicrotask(() => this.#flush());
  }
  /** Pings now and gives the server pong_ms to say anything. */
  probe() {
    if (this.#over || this.#probing || !this.#welcomed) return;
    this.#probing = true;
    this.send(`{"ping":{}}`);
    this.#setTimer(this.#pongMs, () => this.#timeOut("no pong", this.#pongMs));
  }
  /** Closes normally, what was sent first. Resolves once the socket has closed, or after 5 s. */
  close() {
    this.#flush();
    this.#finish();
    return new Promise((resolve) => {
      const stop = this.#env.after(CLOSE_TIMEOUT_MS, resolve);
      this.#socket.onclose = () => {
        stop();
        resolve();
      };
      this.#socket.close(1e3);
    });
  }
  #flush() {
    if (this.#over) return;
    const frames = pack(this.#out);
    this.#out = [];
    this.#outChars = 0;
    for (const frame of frames) this.#socket.send(frame);
  }
  #read(data) {
    if (this.#over) return;
    this.#readAt = this.#env.now();
    let messages;
    try {
      messages = decode(data);
    } catch (cause) {
      const error = new HawserError("disconnected", 1002, "the server sent what is not hawser.v1.json", true, { cause });
      this.#drop(lossOf(error));
      return;
    }
    if (this.#probing) this.#watch();
    for (const message of messages) this.#take(message);
  }
  #take(message) {
    if (this.#over) return;
    if (message.disconnect) {
      this.#farewell = message.disconnect;
    } else if (this.#welcomed) {
      this.#owner.received(message);
    } else if (message.connected) {
      this.#welcome(message.connected);
    } else if (message.error && message.id === CONNECT_ID) {
      this.#refused(message.error);
    }
  }
  // Most refusals are followed by a close, which knows better what to do next.
  #refused(error) {
    this.#refusal = error;
    this.#setTimer(REFUSAL_GRACE_MS, () => this.#drop(lossOfRefusal(error)));
  }
  #welcome(connected) {
    this.#welcomed = true;
    this.#pingMs = connected.ping_ms || PING_MS;
    this.#pongMs = connected.pong_ms || PONG_MS;
    this.#watch();
    this.#owner.welcomed(connected);
  }
  // A browser hides ping control frames from us, so silence proves nothing
  // until a ping of our own went unanswered.
  #watch() {
    this.#probing = false;
    const silentMs = this.#env.now() - this.#readAt;
    this.#setTimer(this.#pingMs - silentMs, () => {
      if (this.#env.now() - this.#readAt >= this.#pingMs) this.probe();
      else this.#watch();
    });
  }
  #setTimer(ms, callback) {
    this.#stopTimer();
    this.#stopTimer = this.#env.after(ms, callback);
  }
  #timeOut(what, ms) {
    this.#drop(lossOf(new HawserError("disconnected", 1006, `disconnected: ${what} within ${ms} ms`, true)));
  }
  /** Gives the socket up from this side. */
  #drop(loss) {
    this.#socket.onclose = null;
    this.#socket.close();
    this.#lose(loss);
  }
  #lose(loss) {
    if (this.#over) return;
    this.#finish();
    this.#owner.lost(loss);
  }
  #finish() {
    this.#over = true;
    this.#stopTimer();
    this.#out = [];
  }
};
function notOpened(code) {
  return lossOf(new HawserError("disconnected", code, "could not connect: the WebSocket handshake failed", true));
}

// src/calls.ts
var MAX_ID = 2 ** 32 - 1;
var Calls = class {
  #env;
  #maxQueue;
  #calls = /* @__PURE__ */ new Map();
  // by id; in the order of the calls
  #queued = 0;
  // calls not sent yet
  #link;
  #ready = false;
  // the link takes what is not urgent, too
  #lastId = FIRST_CALL_ID - 1;
  constructor(env, maxQueue) {
    this.#env = env;
    this.#maxQueue = maxQueue;
  }
  /** Sends `command`, now or once there is a link, and resolves with its answer. */
  call(command, timeoutMs, urgent = false) {
    return new Promise((resolve, reject) => {
      this.start(command, timeoutMs, ({ answer, error }) => answer ? resolve(answer) : reject(error), urgent);
    });
  }
  /**
   * The same with a callback, which is called exactly once, before the message
   * behind the answer is looked at: a promise would be later than that.
   */
  start(command, timeoutMs, done, urgent) {
    const id = this.#nextId();
    let text;
    try {
      text = JSON.stringify({ id, ...command });
    } catch (cause) {
      return done({ error: usageError("the data cannot be said in JSON", cause) });
    }
    const link = this.#ready || urgent ? this.#link : void 0;
    const full = this.#overflow(link);
    if (full) return done({ error: full });
    const stopTimer = this.#env.after(timeoutMs, () => {
      this.#settle(id, { error: new HawserError("timeout", 504, `no answer within ${timeoutMs} ms`, true) });
    });
    const call = { text, done, stopTimer, sent: false };
    this.#calls.set(id, call);
    this.#queued++;
    if (link) this.#send(call, link);
  }
  /** Urgent calls go out by `link` from now on. */
  attach(link) {
    this.#link = link;
  }
  /** All others do, too; first those that wait, in the order of the calls. */
  flush() {
    if (!this.#link) return;
    this.#ready = true;
    for (const call of this.#calls.values()) if (!call.sent) this.#send(call, this.#link);
  }
  /** The link is gone: calls without an answer end with `error`, those not sent wait for the next one. */
  detach(error) {
    this.#link = void 0;
    this.#ready = false;
    for (const [id, call] of this.#calls) if (call.sent) this.#settle(id, { error });
  }
  /** Every call ends with `error`. There is no link by now. */
  end(error) {
    for (const id of this.#calls.keys()) this.#settle(id, { error });
  }
  /** Takes a message that may be an answer. Late and unknown ids are ignored. */
  answer(message) {
    if (message.id) this.#settle(message.id, message.error ? { error: serverError(message.error) } : { answer: message });
  }
  #send(call, link) {
    call.sent = true;
    this.#queued--;
    link.send(call.text);
  }
  #settle(id, outcome) {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    if (!call.sent) this.#queued--;
    call.stopTimer();
    call.done(outcome);
  }
  #overflow(link) {
    const full = link ? !link.writable : this.#queued >= this.#maxQueue;
    if (!full) return void 0;
    const where = link ? "maxBufferedBytes wait in the socket" : `${this.#maxQueue} commands wait for a connection`;
    return new HawserError("queue_full", 429, `not sent: ${where} already`, true);
  }
  #nextId() {
    do {
      this.#lastId = this.#lastId >= MAX_ID ? FIRST_CALL_ID : this.#lastId + 1;
    } while (this.#calls.has(this.#lastId));
    return this.#lastId;
  }
};

// src/events.ts
var Announcer = class {
  #waiting = [];
  // emptied by the microtask that the first one starts
  announce(what) {
    this.#waiting.push(what);
    if (this.#waiting.length === 1) queueMicrotask(() => this.#run());
  }
  #run() {
    const batch = this.#waiting;
    this.#waiting = [];
    for (const what of batch) {
      try {
        what();
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
};
var Emitter = class {
  #announcer;
  #listeners = /* @__PURE__ */ new Map();
  constructor(announcer) {
    this.#announcer = announcer;
  }
  /** Adds a listener; the result takes it off again. */
  on(name, listener) {
    let set = this.#listeners.get(name);
    if (!set) this.#listeners.set(name, set = /* @__PURE__ */ new Set());
    set.add(listener);
    return () => void set.delete(listener);
  }
  emit(name, detail) {
    for (const listener of this.#listeners.get(name) ?? []) {
      this.#announcer.announce(() => listener(detail));
    }
  }
};
var Deferred = class {
  resolve;
  reject;
  promise = new Promise((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
  constructor() {
    this.promise.catch(() => {
    });
  }
};

// src/subscription.ts
var Subscription = class {
  channel;
  #handler;
  #events;
  #leave;
  #state = "pending";
  #ready = new Deferred();
  /** @internal */
  constructor(channel, handler, announcer, leave) {
    this.channel = channel;
    this.#handler = handler;
    this.#events = new Emitter(announcer);
    this.#leave = leave;
  }
  get state() {
    return this.#state;
  }
  /**
   * Resolves once publications flow. Rejects when the server refuses for good,
   * or when the client or the subscription is closed before.
   */
  get ready() {
    return this.#ready.promise;
  }
  /** Hears every change of state; the result stops that. */
  on(name, listener) {
    return this.#events.on(name, listener);
  }
  /** Ends it: no further publication reaches the handler. Calling it again does nothing. */
  unsubscribe() {
    if (this.#state !== "ended") this.#leave(this);
  }
  /** @internal */
  deliver(publication) {
    if (this.#state !== "ended") this.#handler(publication.data, publication);
  }
  /** @internal */
  become(state, error) {
    if (state === this.#state && !error) return;
    if (state === "active") this.#ready.resolve();
    if (state === "ended") this.#ready.reject(error ?? new HawserError("closed", 1e3, "unsubscribed", false));
    if (state === "pending" && this.#state === "active") this.#ready = new Deferred();
    this.#state = state;
    this.#events.emit("state", error ? { state, error } : { state });
  }
  /** @internal The client closed: who waits is told, and the next connect starts a new wait. */
  giveUp(error) {
    this.#ready.reject(error);
    this.#ready = new Deferred();
  }
};

// src/channels.ts
var nothing = () => {
};
var Channels = class {
  #env;
  #settings;
  #calls;
  #announcer;
  #report;
  #channels = /* @__PURE__ */ new Map();
  #attached = false;
  // there is a welcomed link
  constructor(env, settings, calls, announcer, report) {
    this.#env = env;
    this.#settings = settings;
    this.#calls = calls;
    this.#announcer = announcer;
    this.#report = report;
  }
  add(name, handler) {
    const subscription = new Subscription(name, handler, this.#announcer, (s) => this.#remove(s));
    const known = this.#channels.get(name);
    if (known) {
      known.subscriptions.add(subscription);
      if (known.active) subscription.become("active");
      return subscription;
    }
    const channel = { name, subscriptions: /* @__PURE__ */ new Set([subscription]), active: false, attempt: 0, stopTimer: nothing };
    this.#channels.set(name, channel);
    if (this.#attached) this.#ask(channel);
    return subscription;
  }
  /** Asks for every channel on a new link. `settled` is called once, when each was answered or the link is gone. */
  attach(settled) {
    this.#attached = true;
    let open = this.#channels.size;
    if (open === 0) settled();
    for (const channel of this.#channels.values()) this.#ask(channel, () => --open === 0 && settled());
  }
  /** The link is gone; everything waits for the next one. */
  detach() {
    this.#attached = false;
    for (const channel of this.#channels.values()) this.#suspend(channel);
  }
  /** The client is closed: whoever waits is told. Subscriptions stay wanted. */
  end(error) {
    for (const { subscriptions } of this.#channels.values()) for (const s of subscriptions) s.giveUp(error);
  }
  /** Hands a publication to its handlers. One for a channel that is not active belongs to a subscription given up. */
  deliver(from) {
    const channel = this.#channels.get(from.channel);
    if (!channel?.active) return;
    const publication = { channel: from.channel, seq: from.seq ?? 0, data: fromPayload(from) };
    for (const s of channel.subscriptions) this.#announcer.announce(() => s.deliver(publication));
  }
  /** The server ended a subscription by itself. */
  dropped(name, why) {
    const channel = this.#channels.get(name);
    if (!channel?.active) return;
    this.#suspend(channel);
    this.#refused(channel, serverError(why ?? { code: 500, message: "the server ended the subscription", temporary: true }));
  }
  #remove(subscription) {
    subscription.become("ended");
    const channel = this.#channels.get(subscription.channel);
    if (!channel?.subscriptions.delete(subscription) || channel.subscriptions.size > 0) return;
    this.#forget(channel);
    if (this.#attached) this.#giveUp(channel);
  }
  #giveUp({ name }) {
    this.#send({ unsubscribe: { channel: name } }, nothing);
  }
  #ask(channel, answered = nothing) {
    channel.stopTimer();
    this.#send({ subscribe: { channel: channel.name } }, ({ error }) => {
      if (!this.#wants(channel)) return answered();
      if (error) this.#refused(channel, error);
      else this.#accepted(channel);
      answered();
    });
  }
  #send(command, done) {
    this.#calls.start(command, this.#settings.commandTimeoutMs, done, true);
  }
  /** Whether an answer about `channel` still matters. */
  #wants(channel) {
    return this.#attached && this.#channels.get(channel.name) === channel;
  }
  #accepted(channel) {
    channel.active = true;
    channel.attempt = 0;
    for (const s of channel.subscriptions) s.become("active");
  }
  #refused(channel, error) {
    this.#report(error);
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
  #suspend(channel) {
    channel.active = false;
    channel.attempt = 0;
    channel.stopTimer();
    for (const s of channel.subscriptions) s.become("pending");
  }
  #forget(channel) {
    channel.stopTimer();
    this.#channels.delete(channel.name);
  }
};

// src/environment.ts
var MAX_TIMER_MS = 2 ** 31 - 1;
var realEnvironment = {
  now: () => performance.now(),
  random: () => Math.random(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
  onWake
};
function onWake(callback) {
  if (typeof document === "undefined" || typeof window === "undefined") return () => {
  };
  const ifVisible = () => {
    if (document.visibilityState === "visible") callback();
  };
  const controller = new AbortController();
  const { signal } = controller;
  window.addEventListener("online", callback, { signal });
  window.addEventListener("offline", callback, { signal });
  window.addEventListener("pageshow", ifVisible, { signal });
  document.addEventListener("visibilitychange", ifVisible, { signal });
  document.addEventListener("resume", ifVisible, { signal });
  return () => controller.abort();
}

// src/machine.ts
var initial = { state: "initialized", attempt: 0, refusals: 0 };
function step(machine, event, rules) {
  const { state } = machine;
  const to = (next, ...effects) => ({ machine: { ...machine, state: next }, effects });
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
function closing(state) {
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
function lost({ state, attempt, refusals }, loss, rules) {
  const effects = state === "connected" ? [{ do: "detach" }] : [];
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

// src/options.ts
var VERSION = "0.1.0";
var defaults = {
  clientName: "hawser-js",
  clientVersion: VERSION,
  connectTimeoutMs: 1e4,
  commandTimeoutMs: 1e4,
  backoffMinMs: 500,
  backoffMaxMs: 2e4,
  stableMs: 6e4,
  maxQueue: 64,
  maxBufferedBytes: 1 << 20,
  maxTokenRefusals: 3
};
function settle(given) {
  const options = typeof given === "string" ? { url: given } : given;
  const set = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== void 0));
  const settings = { ...defaults, token: void 0, ...set };
  settings.url = absolute(settings.url);
  settings.WebSocket ??= globalThis.WebSocket;
  check(settings);
  return settings;
}
function absolute(url) {
  let parsed;
  try {
    parsed = new URL(url, globalThis.location?.href);
  } catch (cause) {
    throw usageError(`url ${JSON.stringify(url)}: want ws://host/ws/tenant`, cause);
  }
  parsed.protocol = parsed.protocol.replace(/^http/, "ws");
  parsed.hash = "";
  if (!/^wss?:$/.test(parsed.protocol)) throw usageError(`url ${JSON.stringify(url)}: want ws: or wss:`);
  return parsed.href;
}
function check(settings) {
  if (typeof settings.WebSocket !== "function") {
    throw usageError("there is no global WebSocket here: pass the option WebSocket, such as that of the package ws");
  }
  for (const name of Object.keys(defaults)) {
    const value = settings[name];
    const type = typeof defaults[name];
    if (typeof value !== type || typeof value === "number" && !(value >= 1)) {
      throw usageError(`${name} ${value}: want ${type === "number" ? "a number of at least 1" : "a string"}`);
    }
  }
  if (settings.backoffMaxMs < settings.backoffMinMs) {
    throw usageError(`backoffMaxMs ${settings.backoffMaxMs}: want at least backoffMinMs ${settings.backoffMinMs}`);
  }
}

// src/tokens.ts
var LAST_REFRESH_MS = 1e3;
var Tokens = class {
  #env;
  #settings;
  #report;
  #token;
  #wanted = "connect";
  // why the next one is asked for
  #expiresAt = Infinity;
  // by env.now()
  #life = 0;
  // fences a token that was asked for before the last discard
  #watch = 0;
  // fences answers of an earlier watch
  #stopTimer = () => {
  };
  constructor(env, settings, report) {
    this.#env = env;
    this.#settings = settings;
    this.#report = report;
  }
  /** Whether a refused token can be replaced. */
  get renewable() {
    return typeof this.#settings.token === "function";
  }
  /** The token to connect with: the one kept, or a new one; undefined where the client has none. */
  async get() {
    if (this.#env.now() >= this.#expiresAt) this.discard("token_expired");
    if (this.#token !== void 0) return this.#token;
    const life = this.#life;
    const token = await this.#ask(this.#wanted);
    if (life === this.#life) this.#token = token;
    return token;
  }
  /** Never presents the token again; the next one is asked for with `reason`. */
  discard(reason) {
    this.#life++;
    this.#token = void 0;
    this.#wanted = reason;
    this.#expiresAt = Infinity;
  }
  /** The token was accepted and lives for `lifeMs` (0: for ever): refreshes it in time. */
  watch(lifeMs, present) {
    this.pause();
    this.#expiresAt = lifeMs > 0 ? this.#env.now() + lifeMs : Infinity;
    if (lifeMs > 0 && this.renewable) this.#schedule(lifeMs * (0.7 + 0.15 * this.#env.random()), present);
  }
  /** The connection is gone: no refresh until the next watch. */
  pause() {
    this.#watch++;
    this.#stopTimer();
  }
  #schedule(ms, present) {
    const watch = this.#watch;
    this.#stopTimer = this.#env.after(Math.round(ms), () => void this.#refresh(watch, present));
  }
  async #refresh(watch, present) {
    try {
      const token = await this.#ask("refresh");
      if (watch !== this.#watch) return;
      const lifeMs = await present(token);
      if (watch !== this.#watch) return;
      this.#token = token;
      this.watch(lifeMs, present);
    } catch (error) {
      if (watch === this.#watch) this.#retryRefresh(error, present);
    }
  }
  #retryRefresh(error, present) {
    this.#report(error);
    const leftMs = this.#expiresAt - this.#env.now();
    if (error.temporary && leftMs > LAST_REFRESH_MS) this.#schedule(leftMs / 2, present);
  }
  #ask(reason) {
    const source = this.#settings.token;
    if (typeof source !== "function") return Promise.resolve(source);
    return new Promise((resolve, reject) => {
      const limitMs = this.#settings.connectTimeoutMs;
      const stop = this.#env.after(limitMs, () => reject(tokenError(`gave none within ${limitMs} ms`)));
      const call = async () => source(reason);
      call().then(resolve, (why) => reject(why instanceof HawserError ? why : tokenError(`failed: ${why}`, why))).finally(stop);
    });
  }
};
function tokenError(what, cause) {
  return new HawserError("token", 401, `the token function ${what}`, true, { cause });
}

// src/client.ts
var Hawser = class {
  // Immutable after the constructor.
  #settings;
  #env;
  #announcer = new Announcer();
  #events = new Emitter(this.#announcer);
  #calls;
  #channels;
  #tokens;
  // The connection.
  #machine = initial;
  #dials = 0;
  // fences the token of a dial given up
  #link;
  #session;
  #resumeToken;
  #connecting = new Deferred();
  // what connect() returned
  #closing = Promise.resolve();
  // what close() returned
  // Timers and listeners; each stops when its state is left.
  #stopRetry = () => {
  };
  #stopStable = () => {
  };
  #stopWake;
  #retryAt = 0;
  // by env.now(), when suspended
  #retryFloorAt = 0;
  // no retry before: the server said so
  /**
   * Does nothing yet but check its options. `environment` is for tests.
   *
   * @throws HawserError `usage`, naming the option that cannot work.
   */
  constructor(options, environment = realEnvironment) {
    const settings = this.#settings = settle(options);
    const report = (error) => this.#events.emit("error", error);
    this.#env = environment;
    this.#calls = new Calls(environment, settings.maxQueue);
    this.#channels = new Channels(environment, settings, this.#calls, this.#announcer, report);
    this.#tokens = new Tokens(environment, settings, report);
  }
  get state() {
    return this.#machine.state;
  }
  /** From the last welcome; undefined before the first, and once closed. */
  get session() {
    return this.#session;
  }
  /** Hears every event of that name; the result stops that. Listeners run in order, after the call that caused the event. */
  on(name, listener) {
    return this.#events.on(name, listener);
  }
  /**
   * Connects, and keeps reconnecting until `close()` or a close that advises
   * to stop. Resolves with the first welcome; rejects when it ends before.
   */
  connect() {
    this.#dispatch({ type: "connect" });
    return this.#connecting.promise;
  }
  /**
   * Closes for now: calls under way reject, subscriptions wait for another
   * `connect()`, and session and token are forgotten. Resolves once the socket
   * has closed, or after 5 s.
   */
  close() {
    this.#dispatch({ type: "close" });
    return this.#closing;
  }
  /**
   * Calls `handler` for each publication of `channel`, from now until
   * `unsubscribe()`, over all reconnects. Several may share a channel.
   */
  subscribe(channel, handler) {
    if (typeof channel !== "string" || channel === "") throw usageError("subscribe: want a channel name");
    return this.#channels.add(channel, handler);
  }
  /**
   * Publishes `data`, any JSON value or bytes, to `channel`. Resolves once
   * hawser has handed it on, which does not say that anyone received it.
   * Rejects with a {@link HawserError}; after `disconnected` and `timeout` it
   * may or may not have been published.
   */
  async publish(channel, data, options) {
    await this.#call({ publish: { channel, ...toPayload(data) } }, options);
  }
  /** Calls `service.method` and resolves with the application's answer. Rejects as publish does. */
  async rpc(method, data, options) {
    const { rpc } = await this.#call({ rpc: { method, ...toPayload(data) } }, options);
    return fromPayload(rpc ?? {});
  }
  /** Measures a round trip to the node, in milliseconds. Rejects at once when not connected. */
  async ping(options) {
    if (this.state !== "connected") throw new HawserError("disconnected", 1006, "not connected", true);
    const sentAt = this.#env.now();
    await this.#calls.call({ ping: {} }, options?.timeoutMs ?? this.#settings.commandTimeoutMs, true);
    return this.#env.now() - sentAt;
  }
  async #call(command, options) {
    if (this.state === "closed" || this.state === "failed") throw closedError();
    return this.#calls.call(command, options?.timeoutMs ?? this.#settings.commandTimeoutMs);
  }
  #dispatch(event) {
    const previous = this.state;
    const rules = { renewable: this.#tokens.renewable, maxTokenRefusals: this.#settings.maxTokenRefusals };
    const { machine, effects } = step(this.#machine, event, rules);
    this.#machine = machine;
    const error = event.type === "lost" ? event.loss.error : void 0;
    for (const effect of effects) this.#run(effect, error);
    if (machine.state !== previous) this.#announce(previous, error);
  }
  #run(effect, error = closedError()) {
    switch (effect.do) {
      case "dial":
        return this.#dial();
      case "greet":
        return this.#greet();
      case "probe":
        return this.#link?.probe();
      case "detach":
        return this.#detach(error);
      case "hang_up":
        return this.#hangUp();
      case "discard_token":
        return this.#tokens.discard(error.code === 4401 ? "token_expired" : "bad_token");
      case "wait":
        return this.#wait(effect.attempt, effect.floorMs);
      case "hurry":
        return this.#hurry();
      case "stop_waiting":
        return this.#stopRetry();
      case "end":
        return this.#end(error);
    }
  }
  #dial() {
    this.#stopRetry();
    this.#stopWake ??= this.#begin();
    this.#link = void 0;
    const dial = ++this.#dials;
    this.#tokens.get().then(
      (token) => dial === this.#dials && this.#open(token),
      (error) => dial === this.#dials && this.#dispatch({ type: "lost", loss: lossOf(error) })
    );
  }
  /** The first dial after initialized, closed or failed. */
  #begin() {
    this.#connecting = new Deferred();
    return this.#env.onWake(() => this.#dispatch({ type: "wake" }));
  }
  #open(token) {
    const { clientName, clientVersion } = this.#settings;
    const hello = { client_name: clientName, client_version: clientVersion };
    if (token) hello.token = token;
    if (this.#resumeToken) hello.resume_token = this.#resumeToken;
    try {
      this.#link = new Link(this.#env, this.#settings, hello, {
        welcomed: (connected) => this.#welcomed(connected),
        received: (message) => this.#received(message),
        lost: (loss) => this.#dispatch({ type: "lost", loss })
      });
    } catch (cause) {
      this.#dispatch({ type: "lost", loss: lossOf(usageError(`cannot dial ${this.#settings.url}: ${cause}`, cause)) });
    }
  }
  #welcomed(connected) {
    const { session: id, node = "", user = "", resumed = false } = connected;
    this.#session = { id, node, user, resumed };
    this.#resumeToken = connected.resume_token;
    this.#tokens.watch(connected.expires_ms ?? 0, async (token) => {
      const { refreshed } = await this.#calls.call({ refresh: { token } }, this.#settings.commandTimeoutMs, true);
      return refreshed?.expires_ms ?? 0;
    });
    this.#dispatch({ type: "welcome" });
  }
  /** Subscriptions first: who published while offline wants to see it come back. */
  #greet() {
    this.#calls.attach(this.#link);
    this.#channels.attach(() => this.#calls.flush());
    this.#stopStable = this.#env.after(this.#settings.stableMs, () => this.#dispatch({ type: "stable" }));
    this.#connecting.resolve();
  }
  #received(message) {
    const { publication, direct, unsubscribed, error } = message;
    if (message.id) this.#calls.answer(message);
    else if (publication) this.#channels.deliver(publication);
    else if (direct) this.#events.emit("direct", fromPayload(direct));
    else if (unsubscribed) this.#channels.dropped(unsubscribed.channel, unsubscribed.error);
    else if (error) this.#events.emit("error", serverError(error));
  }
  #detach(error) {
    this.#stopStable();
    this.#tokens.pause();
    this.#channels.detach();
    this.#calls.detach(error);
  }
  #hangUp() {
    this.#dials++;
    if (this.#link) this.#closing = this.#link.close();
  }
  #wait(attempt, floorMs) {
    const { backoffMinMs: minMs, backoffMaxMs: maxMs } = this.#settings;
    this.#retryFloorAt = this.#env.now() + floorMs;
    this.#retryIn(backoffMs(attempt, floorMs, this.#env.random(), { minMs, maxMs }));
  }
  /** Something changed for the better: retries soon. Still with jitter, as a whole office comes back online at once. */
  #hurry() {
    const now = this.#env.now();
    const { backoffMinMs: minMs } = this.#settings;
    const ms = backoffMs(0, Math.max(0, this.#retryFloorAt - now), this.#env.random(), { minMs, maxMs: minMs });
    if (now + ms >= this.#retryAt) return;
    this.#retryIn(ms);
    this.#announce("suspended");
  }
  #retryIn(ms) {
    this.#stopRetry();
    this.#retryAt = this.#env.now() + ms;
    this.#stopRetry = this.#env.after(ms, () => this.#dispatch({ type: "retry" }));
  }
  #end(error) {
    this.#stopWake?.();
    this.#stopWake = void 0;
    this.#link = void 0;
    this.#session = void 0;
    this.#resumeToken = void 0;
    this.#tokens.discard("connect");
    this.#calls.end(error);
    this.#channels.end(error);
    this.#connecting.reject(error);
  }
  #announce(previous, error) {
    const { state } = this;
    const retryInMs = state === "suspended" ? { retryInMs: this.#retryAt - this.#env.now() } : {};
    this.#events.emit("state", { state, previous, ...retryInMs, ...error && { error } });
    if (error) this.#events.emit("error", error);
    if (state === "connected") this.#events.emit("connect", this.#session);
    if (previous === "connected") {
      this.#events.emit("disconnect", { error: error ?? closedError(), willReconnect: state === "suspended" });
    }
  }
};
export {
  Hawser,
  HawserError,
  VERSION,
  causes
};
