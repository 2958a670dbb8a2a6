// The chat: a room is a channel, a message is {from, text}. Anything else that
// is published there, such as plain text from the nats command, shows too.
import { $, clock, element, note, show, trim } from "./dom.js";

const MAX_MESSAGES = 200; // older ones go
const CHANNEL = /^[\w-]+(\.[\w-]+)*$/; // proto/names.CheckChannel

/** A name to begin with; the visitor may change it. */
function guest() {
  return `guest-${Math.floor(1000 + Math.random() * 9000)}`;
}

/** Who, what, and whether it came from outside the chat. */
function parse(data) {
  if (typeof data === "object" && data !== null && typeof data.text === "string") {
    return { from: String(data.from ?? "someone"), text: data.text, outside: false };
  }
  return { from: "NATS", text: show(data), outside: true };
}

function append(data, name) {
  const { from, text, outside } = parse(data);
  const list = $("messages");
  const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 40;
  const who = element("span", { class: "who", text: `${from} · ${clock()}` });
  const kind = outside ? "nats" : from === name ? "mine" : "";
  list.append(element("li", { class: kind }, who, document.createTextNode(text)));
  trim(list, MAX_MESSAGES);
  if (atEnd || kind === "mine") list.scrollTop = list.scrollHeight;
}

/**
 * Runs the chat.
 * @param {() => import("./hawser.js").Hawser} client the client of now; settings replace it
 * @param {{ join(channel: string, handler: (data: unknown) => void): () => void, changed(room: string): void }} channels
 */
export function startChat(client, channels) {
  const name = $("name");
  const room = $("room");
  let leave = () => {};
  name.value = localStorage.getItem("name") || guest();
  room.value = localStorage.getItem("room") || "chat";

  function enter() {
    const valid = CHANNEL.test(room.value);
    note("chat-note", valid ? "" : "A room is letters, digits, _ and -, with dots between.", true);
    room.toggleAttribute("aria-invalid", !valid);
    if (!valid) return;
    localStorage.setItem("room", room.value);
    leave();
    $("messages").replaceChildren();
    leave = channels.join(room.value, (data) => append(data, name.value));
    channels.changed(room.value);
  }

  name.addEventListener("change", () => localStorage.setItem("name", (name.value ||= guest())));
  room.addEventListener("change", enter);
  $("chat-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = $("message").value.trim();
    if (!text) return;
    $("message").value = "";
    note("chat-note", client().state === "connected" ? "" : "Waiting for the connection…");
    try {
      await client().publish(room.value, { from: name.value, text });
      note("chat-note", "");
    } catch (error) {
      note("chat-note", `Not sent: ${error.message}`, true);
      $("message").value ||= text;
    }
  });
  enter();
  return enter;
}
