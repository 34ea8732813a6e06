import { Scatter } from "../memory/index.js";

/**
 * One request as the device half sees it: the readable and the writable bytes of a descriptor chain. A queue keeps one
 * chain object for each head and reuses it; it is the device's from `pop` to `push`.
 */
export class Chain {
  /** Head descriptor: the request's identity on the ring. */
  readonly head: number;
  /** What the driver wrote for the device. */
  readonly readable = new Scatter();
  /** Where the device may write. */
  readonly writable = new Scatter();
  /** True between `pop` and `push`. */
  inFlight = false;
  /** The device type's own state for requests on this head. */
  context: unknown = undefined;

  constructor(head: number) {
    this.head = head;
  }
}
