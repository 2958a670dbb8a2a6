import { type Advice } from "./causes.js";
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
export declare function lossOfClose(code: number, reason: string, farewell?: Disconnect, refusal?: WireError): Loss;
/** Reads an error that answered connect, when no close follows. */
export declare function lossOfRefusal(refused: WireError): Loss;
/** A loss that this side found, such as silence: worth a retry. */
export declare function lossOf(error: HawserError): Loss;
/** The server's error as ours. */
export declare function serverError({ code, message, temporary }: WireError): HawserError;
