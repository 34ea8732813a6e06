/** What a front end has said of one queue, piece by piece. */
import type { Endianness } from "../../bytes/index.js";
import { hostEndianness } from "../../bytes/index.js";
import type { RingAddresses } from "../../virtqueue/index.js";
import type { MemoryTable } from "./memory-table.js";
import type { RunningRing } from "./queue-runner.js";

/** Where a ring lies, in addresses of the front end's process. */
export interface UserRingAddresses {
  readonly descriptors: bigint;
  readonly available: bigint;
  readonly used: bigint;
}

/** The state of a queue on one connection. */
export class Vring {
  readonly index: number;
  /** 0 until it is set. */
  size = 0;
  place: UserRingAddresses | undefined;
  /** What SET_VRING_BASE said, or where the ring stopped. */
  base = 0;
  endianness: Endianness = hostEndianness;
  kick: number | undefined;
  call: number | undefined;
  error: number | undefined;
  /** SET_VRING_KICK came. */
  isStarted = false;
  isEnabled = false;
  isPaused = false;
  /** The ring was found broken; it is not started again before it is set up again. */
  isBroken = false;
  running: RunningRing | undefined;

  constructor(index: number) {
    this.index = index;
  }

  /** Guest addresses of the ring's parts, or undefined when it does not lie in the table. */
  addressesIn(table: MemoryTable): RingAddresses | undefined {
    if (this.place === undefined) return undefined;
    const descriptors = table.toGuest(this.place.descriptors);
    const available = table.toGuest(this.place.available);
    const used = table.toGuest(this.place.used);
    if (descriptors === undefined || available === undefined || used === undefined) return undefined;
    return { descriptors, available, used };
  }

  /** Back to the beginning; enabling and descriptors are the caller's. */
  forget(): void {
    this.size = 0;
    this.place = undefined;
    this.base = 0;
    this.endianness = hostEndianness;
    this.isStarted = false;
    this.isPaused = false;
    this.isBroken = false;
    this.running = undefined;
  }
}
