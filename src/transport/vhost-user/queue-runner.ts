/**
 * Where control plane and data plane meet. The control plane ({@link BackEndSession}) speaks vhost-user; when a queue
 * has everything it needs it is handed to a runner, which serves it until it is stopped. A runner may do so on the
 * event loop or in threads of its own: what it gets are numbers and memory, and each of its answers may be a promise.
 */
import type { Endianness } from "../../bytes/index.js";
import type { GuestMemory } from "../../memory/index.js";
import type { RingAddresses } from "../../virtqueue/index.js";
import type { TableRegion } from "./memory-table.js";

/** Memory and the ring in it. */
export interface RingPlace {
  /** Guest memory, mapped in this process; shared with the front end. */
  readonly memory: GuestMemory;
  /** The same as addresses of this process, for threads that make their own views and for system calls. */
  readonly regions: readonly TableRegion[];
  /** Guest addresses of the ring's parts. */
  readonly addresses: RingAddresses;
}

/** A queue that is ready to be served. */
export interface RingSetup extends RingPlace {
  readonly index: number;
  readonly size: number;
  /** What was negotiated, without the bit for protocol features. */
  readonly features: bigint;
  /** Byte order of the ring and of what lies in its buffers. */
  readonly endianness: Endianness;
  /**
   * Where to go on: what SET_VRING_BASE said. Split rings: the available index; packed ones: the place of the next available
   * descriptor, and in the high half that of the next used one. Does not count when there is a record of what is in flight.
   */
  readonly base: number;
  /** Event descriptor that the front end signals; undefined: look at the ring again and again. */
  readonly kick: number | undefined;
  /** Event descriptor to signal; undefined: the front end polls. */
  readonly call: number | undefined;
  /** This queue's part of the record of requests in flight, and its address in this process. */
  readonly inflight: { readonly bytes: Uint8Array; readonly address: number } | undefined;
}

/** What a runner tells. */
export interface RunnerEvents {
  /** The device's configuration changed. */
  configChanged(): void;
  /** The driver broke a rule on a ring: it is not served any more until it is set up again. The runner has told why. */
  ringFailed(index: number): void;
}

/**
 * A queue that is being served. The next call comes after the last one's promise is done. Descriptors stay the control
 * plane's: one that was replaced or stopped is closed when the promise is done.
 */
export interface RunningRing {
  setCall(call: number | undefined): void | Promise<void>;
  setKick(kick: number | undefined): void | Promise<void>;
  /**
   * Other memory, or another address; positions stay and requests go on. `released` is called when nothing uses the
   * memory that was there before. @throws ProtocolError when the ring is not in the new memory; the ring then stands.
   */
  move(place: RingPlace, released: () => void): void | Promise<void>;
  /** Takes no new requests; done when those that it has are ended. */
  pause(): void | Promise<void>;
  /** Goes on after a pause. Looks at the ring once, whatever the kick says. */
  resume(): void | Promise<void>;
  /** As `pause`, for good: afterwards neither memory nor descriptors are used. @returns where to go on. */
  stop(): number | Promise<number>;
  /** The front end is gone: nothing is written to the ring any more. Done when the storage has ended every request. */
  abandon(): void | Promise<void>;
}

/** A data plane. */
export interface QueueRunner {
  /** Called once. */
  connect(events: RunnerEvents): void;
  /**
   * Starts serving a queue: looks at the ring once, then waits for kicks.
   * @throws ProtocolError when the ring does not lie in memory or is not aligned.
   */
  start(setup: RingSetup): RunningRing | Promise<RunningRing>;
  /** The device is reset; no ring runs. */
  reset(): void | Promise<void>;
  /**
   * The driver changed the configuration and the device that the control plane has took it over: for runners whose
   * devices are elsewhere. What comes after the answer is served as it says. @param config all of it.
   */
  configWritten?(config: Uint8Array, offset: number, length: number): void | Promise<void>;
}
