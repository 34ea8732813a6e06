/** What device halves tell of requests that break a rule. */
import type { ProtocolError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";

/** A request of this queue broke a rule. */
export function observeViolation(observer: Observer, queue: number, error: ProtocolError): void {
  observer.emit({
    category: "violation",
    source: `queue ${queue}`,
    name: error.code,
    fields: { message: error.message },
  });
}
