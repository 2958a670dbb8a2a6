// The demo page: wires the SDK to the cards.
import { Hawser } from "./hawser.js";
import { startChat } from "./chat.js";
import { startMeasuring, watchConnection } from "./connection.js";
import { $, element, note } from "./dom.js";
import { log } from "./log.js";

let tenant = "demo";
let token; // kept in this page only, never stored
let client; // the client of now; new settings make a new one
let subscriptions = new Map(); // by channel: { subscription, handlers }

function start() {
  client = new Hawser({ url: `/ws/${tenant}`, token, clientName: "hawser-demo" });
  watchConnection(client);
  client.on("state", ({ state, error }) => log(state, { data: error?.message, tone: tones[state] }));
  client.on("connect", (session) => log(session.resumed ? "session resumed" : "session", { data: session.id }));
  client.on("direct", (data) => log("direct", { data }));
  client.on("connect", () => commands());
  for (const [channel, entry] of subscriptions) entry.subscription = open(channel, entry);
  client.connect();
}

const tones = { connected: "good", suspended: "bad", failed: "bad" };

/** Subscribes on the client of now, and shows the channel as a chip. */
function open(channel, entry) {
  entry.chip.dataset.state = "pending";
  const subscription = client.subscribe(channel, (data, { seq }) => {
    log("publication", { channel, seq, data });
    for (const handler of entry.handlers) handler(data);
  });
  subscription.on("state", ({ state, error }) => {
    log(`subscription ${state}`, { channel, data: error?.message, ...(error && { tone: "bad" }) });
    entry.chip.dataset.state = state;
    if (state === "ended") drop(channel, entry);
  });
  return subscription;
}

/** Wants a channel, for a handler or only to see it in the log. The result gives it up. */
function join(channel, handler = () => {}) {
  let entry = subscriptions.get(channel);
  if (!entry) {
    entry = { handlers: new Set(), chip: chip(channel), subscription: undefined };
    subscriptions.set(channel, entry);
    entry.subscription = open(channel, entry);
  }
  entry.handlers.add(handler);
  return () => entry.handlers.delete(handler) && entry.handlers.size === 0 && drop(channel, entry);
}

function drop(channel, entry) {
  if (subscriptions.get(channel) === entry) subscriptions.delete(channel);
  entry.subscription.unsubscribe();
  entry.chip.remove();
}

function chip(channel) {
  const end = element("button", { text: "×" });
  end.type = "button";
  end.setAttribute("aria-label", `Unsubscribe from ${channel}`);
  end.addEventListener("click", () => drop(channel, subscriptions.get(channel)));
  const item = element("li", { text: channel }, end);
  $("channels").append(item);
  return item;
}

/** The commands to copy, for the room and session of now. */
function commands() {
  const room = $("room").value;
  $("command-chat").textContent = `nats pub hw.fire.${tenant}.${room} '{"from":"terminal","text":"hello"}'`;
  $("command-text").textContent = `nats pub hw.fire.${tenant}.${room} 'plain text works too'`;
  const session = client?.session?.id;
  $("command-session").textContent = `nats request hw.session.${tenant}.${session ?? "<session>"} '"only for this page"'`;
}

async function publish(event) {
  event.preventDefault();
  const channel = $("channel").value.trim();
  let data;
  try {
    data = JSON.parse($("data").value || "null");
  } catch (error) {
    return note("publish-note", `Not JSON: ${error.message}`, true);
  }
  note("publish-note", "Publishing…");
  try {
    await client.publish(channel, data);
    note("publish-note", "Published.");
  } catch (error) {
    note("publish-note", `Not published: ${error.message}`, true);
  }
}

async function copy(id) {
  try {
    await navigator.clipboard.writeText($(id).textContent);
    note("copy-note", "Copied.");
  } catch {
    getSelection().selectAllChildren($(id)); // no clipboard without TLS but on localhost
    note("copy-note", "Selected: press Ctrl+C.");
  }
}

$("tenant").value = tenant;
$("channel").value = "news";
$("data").value = '{"headline":"hello from the browser"}';
$("publish-form").addEventListener("submit", publish);
$("subscribe").addEventListener("click", () => $("publish-form").reportValidity() && join($("channel").value.trim()));
$("toggle").addEventListener("click", () => (/closed|failed|initialized/.test(client.state) ? client.connect() : client.close()));
$("settings-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const old = client;
  tenant = $("tenant").value.trim() || "demo";
  token = $("token").value.trim() || undefined;
  old.close();
  start();
});
for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button.dataset.copy));

start();
startChat(() => client, { join, changed: commands });
startMeasuring(() => client);
