import { Scatter } from "../memory/index.js";

/**
 * One request as the device half sees it: the readable and the writable bytes of a descriptor chain. A queue keeps chain
 * objects and reuses them; it is the device's from `pop` to `push`.
 */
export class Chain {
  /** The request's identity on the ring: its head descriptor, on packed rings its buffer id. */
  head: number;
  /** What the driver wrote for the device. */
  readonly readable = new Scatter();
  /** Where the device may write. */
  readonly writable = new Scatter();
  /** True between `pop` and `push`. */
  inFlight = false;
  /** Descriptors that it takes of a packed ring: its used descriptor stands for so many. */
  descriptors = 0;
  /** Its place among the chains in flight, with IN_ORDER. */
  order = 0;
  /** The device type's own state for requests on this head. */
  context: unknown = undefined;

  constructor(head: number) {
    this.head = head;
  }
}
