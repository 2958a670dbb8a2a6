import type { Environment, Stop } from "./environment.js";
import { HawserError } from "./errors.js";
import type { Settings, TokenReason } from "./options.js";

/** Presents a token on a live connection; resolves with its life in ms, 0 for unlimited. */
export type Present = (token: string) => Promise<number>;

/** A refresh that failed is tried again at half the time left, until less than this is left, in ms. */
const LAST_REFRESH_MS = 1_000;

/**
 * The token: asked for once, kept over reconnects, replaced before it expires
 * or when hawser refuses it. So a crowd that reconnects does not become a
 * crowd at the application's token endpoint.
 */
export class Tokens {
  readonly #env: Environment;
  readonly #settings: Settings;
  readonly #report: (error: HawserError) => void;
  #token: string | undefined;
  #wanted: TokenReason = "connect"; // why the next one is asked for
  #expiresAt = Infinity; // by env.now()
  #life = 0; // fences a token that was asked for before the last discard
  #watch = 0; // fences answers of an earlier watch
  #stopTimer: Stop = () => {};

  constructor(env: Environment, settings: Settings, report: (error: HawserError) => void) {
    this.#env = env;
    this.#settings = settings;
    this.#report = report;
  }

  /** Whether a refused token can be replaced. */
  get renewable(): boolean {
    return typeof this.#settings.token === "function";
  }

  /** The token to connect with: the one kept, or a new one; undefined where the client has none. */
  async get(): Promise<string | undefined> {
    if (this.#env.now() >= this.#expiresAt) this.discard("token_expired");
    if (this.#token !== undefined) return this.#token;
    const life = this.#life;
    const token = await this.#ask(this.#wanted);
    if (life === this.#life) this.#token = token;
    return token;
  }

  /** Never presents the token again; the next one is asked for with `reason`. */
  discard(reason: TokenReason): void {
    this.#life++;
    this.#token = undefined;
    this.#wanted = reason;
    this.#expiresAt = Infinity;
  }

  /** The token was accepted and lives for `lifeMs` (0: for ever): refreshes it in time. */
  watch(lifeMs: number, present: Present): void {
    this.pause();
    this.#expiresAt = lifeMs > 0 ? this.#env.now() + lifeMs : Infinity;
    // Somewhere in 70 to 85 % of its life: early enough for a few tries, and
    // spread, as a crowd may hold tokens of one instant.
    if (lifeMs > 0 && this.renewable) this.#schedule(lifeMs * (0.7 + 0.15 * this.#env.random()), present);
  }

  /** The connection is gone: no refresh until the next watch. */
  pause(): void {
    this.#watch++;
    this.#stopTimer();
  }

  #schedule(ms: number, present: Present): void {
    const watch = this.#watch;
    this.#stopTimer = this.#env.after(Math.round(ms), () => void this.#refresh(watch, present));
  }

  async #refresh(watch: number, present: Present): Promise<void> {
    try {
      const token = await this.#ask("refresh");
      if (watch !== this.#watch) return;
      const lifeMs = await present(token!);
      if (watch !== this.#watch) return;
      this.#token = token;
      this.watch(lifeMs, present);
    } catch (error) {
      if (watch === this.#watch) this.#retryRefresh(error as HawserError, present);
    }
  }

  #retryRefresh(error: HawserError, present: Present): void {
    this.#report(error);
    const leftMs = this.#expiresAt - this.#env.now();
    // A no that is final, or too late: the server closes with token_expired.
    if (error.temporary && leftMs > LAST_REFRESH_MS) this.#schedule(leftMs / 2, present);
  }

  #ask(reason: TokenReason): Promise<string | undefined> {
    const source = this.#settings.token;
    if (typeof source !== "function") return Promise.resolve(source);
    return new Promise((resolve, reject) => {
      const limitMs = this.#settings.connectTimeoutMs;
      const stop = this.#env.after(limitMs, () => reject(tokenError(`gave none within ${limitMs} ms`)));
      const call = async () => source(reason); // async: catches what it throws at once, too
      call().then(resolve, (why) => reject(why instanceof HawserError ? why : tokenError(`failed: ${why}`, why))).finally(stop);
    });
  }
}

function tokenError(what: string, cause?: unknown): HawserError {
  return new HawserError("token", 401, `the token function ${what}`, true, { cause });
}
