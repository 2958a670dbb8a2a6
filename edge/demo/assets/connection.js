// The connection card: state, countdown, session and round trips.
import { $, note } from "./dom.js";

const PING_EVERY_MS = 5_000;
const SAMPLES = 24; // of the little curve

const words = {
  initialized: "Not connected",
  connecting: "Connecting…",
  connected: "Connected",
  suspended: "Reconnecting",
  closed: "Disconnected",
  failed: "Stopped",
};

let countdown = 0; // interval that counts to the next try
let samples = []; // round trips, in milliseconds

/** Shows a client from now on. */
export function watchConnection(client) {
  let reconnects = -1; // the first welcome is none
  samples = [];
  client.on("state", (change) => showState(client, change));
  client.on("connect", (session) => {
    reconnects++;
    $("reconnects").textContent = reconnects;
    $("node").textContent = session.node || "–";
    $("session").textContent = session.id;
    $("session").title = session.id;
    $("user").textContent = session.user || "anonymous";
    note("last-error", "");
    measure(client);
  });
}

/** Measures the round trip of `client` once. Pings go on by themselves in startMeasuring. */
async function measure(client) {
  if (client.state !== "connected") return;
  try {
    const ms = await client.ping();
    samples = [...samples, ms].slice(-SAMPLES);
    $("latency").textContent = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
    draw();
  } catch {
    $("latency").textContent = "–"; // the state tells why
  }
}

/** Measures again and again, while the page is looked at. */
export function startMeasuring(client) {
  setInterval(() => document.visibilityState === "visible" && measure(client()), PING_EVERY_MS);
}

function showState(client, { state, retryInMs, error }) {
  document.documentElement.dataset.state = state;
  $("state").textContent = state;
  $("toggle").textContent = state === "closed" || state === "failed" || state === "initialized" ? "Connect" : "Disconnect";
  if (error) note("last-error", error.message, state === "failed");
  if (state !== "connected") $("latency").textContent = "–";
  $("status-text").textContent = words[state];
  $("countdown").textContent = "";
  clearInterval(countdown);
  if (state === "suspended") countTo(performance.now() + retryInMs);
}

/** Counts for the eyes only: a screen reader hears of the state, once. */
function countTo(at) {
  const tick = () => {
    const seconds = Math.max(0, (at - performance.now()) / 1000);
    $("countdown").textContent = `in ${seconds.toFixed(1)} s`;
  };
  tick();
  countdown = setInterval(tick, 100);
}

function draw() {
  const most = Math.max(1, ...samples);
  const points = samples.map((ms, i) => `${(i * 120) / (SAMPLES - 1)},${(23 - (22 * ms) / most).toFixed(1)}`);
  $("spark").firstElementChild.setAttribute("points", points.join(" "));
}
