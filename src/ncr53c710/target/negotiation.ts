/** SDTR and WDTR: what a target answers. */
import { ExtendedMessage, Message } from "./messages.js";
import type { TargetOptions } from "./target-options.js";

/** Periods beyond this are no synchronous transfer at all. */
const longestPeriod = 0xff;

/** What was agreed on: the period in units of 4 ns and the REQ/ACK offset; undefined is asynchronous. */
export type Agreement = { period: number; offset: number } | undefined;

/** The answer to an extended message. `agree` is called when there is an agreement. */
export function negotiate(
  bytes: Uint8Array,
  length: number,
  options: TargetOptions,
  agree: (agreement: Agreement) => void,
): readonly number[] {
  const reject = [Message.Reject];
  if (options.rejectsNegotiation === true) return reject;
  if (length === 5 && bytes[2] === ExtendedMessage.Synchronous) {
    const shortest = options.synchronousPeriod ?? 25;
    const period = Math.max(bytes[3], shortest);
    const offset = shortest === 0 ? 0 : Math.min(bytes[4], options.synchronousOffset ?? 8);
    agree(offset === 0 || period > longestPeriod ? undefined : { period, offset });
    return [Message.Extended, 3, ExtendedMessage.Synchronous, shortest === 0 ? bytes[3] : period, offset];
  }
  if (length === 4 && bytes[2] === ExtendedMessage.Wide) {
    // After WDTR, synchronous transfer has to be agreed on anew.
    agree(undefined);
    return [Message.Extended, 2, ExtendedMessage.Wide, 0];
  }
  return reject;
}
