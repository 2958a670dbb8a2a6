/**
 * What the SDK asks of the world: time, chance and signs of life from the
 * browser. Tests inject a fake one; nothing else of the SDK reads a clock.
 */
export interface Environment {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Calls `callback` once after `ms`; the result stops it. */
  after(ms: number, callback: () => void): Stop;
  /** In [0, 1). */
  random(): number;
  /** Calls `callback` whenever a retry or a probe is worth it at once; the result stops that. */
  onWake(callback: () => void): Stop;
}

/** Undoes what returned it. Calling it again does nothing. */
export type Stop = () => void;

/** setTimeout fires at once beyond this many milliseconds (24.8 days), WHATWG HTML "timers". */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The world as browsers and Node have it. */
export const realEnvironment: Environment = {
  now: () => performance.now(),
  random: () => Math.random(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, MAX_TIMER_MS));
    return () => clearTimeout(timer);
  },
  onWake,
};

/**
 * Listens to the browser: back online, tab shown again, page restored or
 * resumed. Elsewhere there is nothing to listen to.
 */
function onWake(callback: () => void): Stop {
  if (typeof document === "undefined" || typeof window === "undefined") return () => {};
  const ifVisible = () => {
    if (document.visibilityState === "visible") callback();
  };
  const controller = new AbortController();
  const { signal } = controller;
  window.addEventListener("online", callback, { signal });
  window.addEventListener("offline", callback, { signal }); // a probe tells what it means
  window.addEventListener("pageshow", ifVisible, { signal });
  document.addEventListener("visibilitychange", ifVisible, { signal });
  document.addEventListener("resume", ifVisible, { signal }); // Page Lifecycle: unfrozen
  return () => controller.abort();
}
