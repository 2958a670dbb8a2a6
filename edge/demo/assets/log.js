// The event log: what the SDK said, newest at the bottom.
import { $, clock, element, show, trim } from "./dom.js";

const MAX_ROWS = 200; // older ones go

/**
 * Adds a row.
 * @param {string} event
 * @param {{ channel?: string, seq?: number, data?: unknown, tone?: "good" | "bad" }} [detail]
 */
export function log(event, { channel = "", seq = 0, data, tone } = {}) {
  const cells = [clock(), event, channel, seq ? String(seq) : "", data === undefined ? "" : show(data)];
  const row = element("tr", { class: tone ?? "" }, ...cells.map((text) => element("td", { text })));
  row.children[3].className = "number";
  const scroll = $("events").closest(".scroll");
  const atEnd = scroll.scrollTop + scroll.clientHeight >= scroll.scrollHeight - 8;
  $("events").append(row);
  trim($("events"), MAX_ROWS);
  if (atEnd) scroll.scrollTop = scroll.scrollHeight;
}

$("clear").addEventListener("click", () => $("events").replaceChildren());
