import type { Stop } from "./environment.js";

/**
 * Runs what applications hear of, in order and only after the code that
 * caused it, so that a listener may call anything, `close()` too.
 */
export class Announcer {
  #waiting: (() => void)[] = []; // emptied by the microtask that the first one starts

  announce(what: () => void): void {
    this.#waiting.push(what);
    if (this.#waiting.length === 1) queueMicrotask(() => this.#run());
  }

  #run(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    for (const what of batch) {
      try {
        what();
      } catch (error) {
        // As EventTarget does: the others still hear, and the error reaches
        // window.onerror or the process.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** Listeners by event name; `Events` maps names to what a listener is given. */
export class Emitter<Events extends object> {
  readonly #announcer: Announcer;
  readonly #listeners = new Map<keyof Events, Set<(detail: never) => void>>();

  constructor(announcer: Announcer) {
    this.#announcer = announcer;
  }

  /** Adds a listener; the result takes it off again. */
  on<K extends keyof Events>(name: K, listener: (detail: Events[K]) => void): Stop {
    let set = this.#listeners.get(name);
    if (!set) this.#listeners.set(name, (set = new Set()));
    set.add(listener as (detail: never) => void);
    return () => void set.delete(listener as (detail: never) => void);
  }

  emit<K extends keyof Events>(name: K, detail: Events[K]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      this.#announcer.announce(() => (listener as (detail: Events[K]) => void)(detail));
    }
  }
}

/** A promise that is settled from outside. Nobody needs to watch it. */
export class Deferred<T> {
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    this.promise.catch(() => {}); // the error is also an event
  }
}
