/** How device halves take chains off a queue: all that there are, with notifications off meanwhile. */
import { ProtocolError, type ViolationCode } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import type { DeviceHost } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { observeViolation } from "./violations.js";

/**
 * Hands every chain of queue `index` to `serve` as long as `wants` says so; then shows the driver what was pushed. Who
 * stops early has to call this again: notifications stay off until the queue was found empty.
 */
export function serveQueue(
  host: DeviceHost,
  index: number,
  serve: (chain: Chain, queue: QueueDevice) => void,
  wants: () => boolean = always,
): void {
  const queue = host.queue(index);
  if (queue === undefined) return;
  try {
    while (wants()) {
      queue.disableNotifications();
      let chain = queue.pop();
      while (chain !== undefined) {
        serve(chain, queue);
        chain = wants() ? queue.pop() : undefined;
      }
      if (!wants() || queue.enableNotifications()) break;
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    host.fail(error);
  }
  publish(host, queue);
}

/** Shows the driver what was pushed, and interrupts it if it wants that. */
export function publish(host: DeviceHost, queue: QueueDevice): void {
  if (queue.publish()) host.signal(queue.index);
}

/** Where a request was that broke a rule, and which rule. */
export interface RequestViolation {
  readonly queue: QueueDevice;
  readonly chain: Chain;
  readonly code: ViolationCode;
  readonly detail?: string;
}

/** Counts a rule that one request broke, and tells who watches. The device goes on. */
export function reportViolation(host: DeviceHost, observer: Observer | undefined, violation: RequestViolation): void {
  const { queue, chain, code, detail } = violation;
  host.count(code);
  if (observer === undefined) return;
  const where = { queue: queue.index, head: chain.head };
  observeViolation(observer, queue.index, new ProtocolError(code, detail === undefined ? where : { ...where, detail }));
}

const always = () => true;
