import { ProtocolError, type ViolationCode } from "../errors/index.js";
import type { Observer } from "../observe/index.js";

/** The error for a rule that the peer broke on a ring, told to the observer too. */
export function ringViolation(
  observer: Observer | undefined,
  queue: number,
  code: ViolationCode,
  head: number | undefined,
  detail: string | undefined,
): ProtocolError {
  const error = new ProtocolError(code, {
    queue,
    ...(head === undefined ? {} : { head }),
    ...(detail === undefined ? {} : { detail }),
  });
  observer?.emit({ category: "violation", source: `queue ${queue}`, name: code, fields: { message: error.message } });
  return error;
}
