/** The contract between a driver and the transport that reaches its device, driver half. */
import type { Endianness } from "../bytes/index.js";
import type { DmaMemory, GuestMemory } from "../memory/index.js";
import type { QueueDriver, RingAddresses } from "../virtqueue/index.js";

/** How a driver hears of used buffers. */
export type InterruptMode = "msix" | "msix-shared" | "intx" | "line" | "none";

/** What a driver does when an interrupt comes. */
export interface InterruptHandlers {
  /** Queue `index` may have used buffers. */
  queue(index: number): void;
  /** The configuration changed, or the device needs a reset. */
  config(): void;
}

export interface DriverTransport {
  /** `pci-legacy`, `pci-modern`, `mmio`, … */
  readonly kind: string;
  /** No VERSION_1, no FEATURES_OK; rings and configuration in the guest's byte order. */
  readonly isLegacy: boolean;
  /** The driver chooses how large its queues are. Default: on all but legacy devices (0.9.5 §2.3). */
  readonly choosesQueueSizes?: boolean;
  /** Virtio device ID. */
  readonly deviceId: number;
  /** Byte order of rings, structures and configuration. */
  readonly endianness: Endianness;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;

  readStatus(): number;
  writeStatus(value: number): void;
  readFeatures(): bigint;
  writeFeatures(features: bigint): void;

  /** Largest size of a queue; 0 when there is none. */
  queueMaxSize(index: number): number;
  /** Gives the device a ring: allocates it, tells the device where it is, enables it. */
  setUpQueue(index: number, size: number): RingAddresses;
  /** Frees the rings; only after a reset. */
  freeQueues(): void;
  notify(index: number): void;
  /**
   * NOTIFICATION_DATA was negotiated: notifications of a queue say where it stands from here on. A transport without this
   * does not take the feature.
   */
  announcePlaces?(queue: Pick<QueueDriver<unknown>, "index" | "position">): void;
  /**
   * Resets one queue (RING_RESET must be negotiated), waits until the device has done so and frees its ring. A transport
   * without this does not take the feature.
   * @throws ProtocolError `reset-never-ends`; the ring then stays allocated.
   */
  resetQueue?(index: number): Promise<void>;

  readConfig(offset: number, width: 1 | 2 | 4): number;
  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void;
  /** Changes whenever the configuration did; 0 on transports without it. */
  configGeneration(): number;

  /**
   * Connects interrupts for `queues` queues; call it before the queues are set up. Takes the best that works, down to
   * `none`: then somebody has to poll.
   */
  openInterrupts(queues: number, handlers: InterruptHandlers): InterruptMode;
  closeInterrupts(): void;
}
