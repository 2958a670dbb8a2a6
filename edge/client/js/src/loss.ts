import { causes, type Advice } from "./causes.js";
import { HawserError } from "./errors.js";
import type { Disconnect, WireError } from "./wire.js";

/** Why a connection, or a try at one, ended, and what to do now. */
export interface Loss {
  readonly advice: Advice;
  /** Wait at least this long before a retry, in ms. */
  readonly floorMs: number;
  readonly error: HawserError;
}

/**
 * Reads a close. `farewell` is the server's disconnect message, when one came
 * before the close frame: it may be newer than our table, so its word wins.
 * Codes that neither knows mean a proxy or a newer server: retry. `refusal` is
 * the error that answered connect, which says more than the table's sentence.
 */
export function lossOfClose(code: number, reason: string, farewell?: Disconnect, refusal?: WireError): Loss {
  const known = causes[farewell?.code ?? code];
  let advice: Advice = known?.advice ?? "retry";
  // Our own 1000 never gets here. One from the other side, without a
  // farewell, is a proxy that tidies up: no reason to stay away.
  if (code === 1000) advice = "retry";
  if (farewell?.reconnect === false) advice = "stop";
  else if (farewell && advice === "stop") advice = "retry";
  const number = farewell?.code ?? code;
  const name = farewell?.reason || reason || known?.name || "closed";
  const detail = refusal?.message ?? known?.sentence;
  const message = `disconnected: ${number} ${name}${detail ? `: ${detail}` : ""}`;
  const error = new HawserError("disconnected", number, message, advice !== "stop");
  return { advice, floorMs: farewell?.retry_after_ms ?? 0, error };
}

/** Reads an error that answered connect, when no close follows. */
export function lossOfRefusal(refused: WireError): Loss {
  const error = serverError(refused);
  const advice = error.temporary ? "retry" : error.code === 401 ? "token" : "stop";
  return { advice, floorMs: 0, error };
}

/** A loss that this side found, such as silence: worth a retry. */
export function lossOf(error: HawserError): Loss {
  return { advice: error.temporary ? "retry" : "stop", floorMs: 0, error };
}

/** The server's error as ours. */
export function serverError({ code = 500, message = "no message", temporary = false }: WireError): HawserError {
  return new HawserError("server", code, message, temporary);
}
