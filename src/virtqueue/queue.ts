/**
 * The seam between ring formats and everything above: device types and drivers know these two interfaces only.
 */
import type { Endianness } from "../bytes/index.js";
import type { ViolationCode } from "../errors/index.js";
import type { DmaMemory, GuestMemory } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import type { Chain } from "./chain.js";
import type { RingAddresses } from "./ring-layout.js";

/** What both halves of a queue are made from. */
export interface QueueOptions {
  /** Number of the queue in its device, for messages. */
  index: number;
  /** Number of descriptors. */
  size: number;
  addresses: RingAddresses;
  /** Byte order of the ring: little-endian since 1.0, the guest's before. */
  endianness: Endianness;
  /** INDIRECT_DESC was negotiated. */
  indirect: boolean;
  /** EVENT_IDX was negotiated. */
  eventIndex: boolean;
  /** IN_ORDER was negotiated. Default false. */
  inOrder?: boolean;
  /**
   * Where both sides start, as {@link QueueDevice.nextAvailable} gives it; after a reset 0 on split rings, slot 0 and wrap
   * counter 1 on packed ones. Tests start near the wrap, migration anywhere.
   */
  startIndex?: number;
  /** Where used buffers start, when that is elsewhere: device half, for rings that are taken over. */
  startUsedIndex?: number;
  observer?: Observer | undefined;
}

/** What the driver half is made from. */
export interface QueueDriverOptions extends QueueOptions {
  /** Where indirect tables come from. */
  dma: DmaMemory;
  /**
   * What a used length above the chain's room means: a violation, or (legacy devices put other values there,
   * virtio 1.2 §2.7.8.2) a number to cut. Default `violation`.
   */
  excessUsedLength?: "violation" | "cut";
}

/** What the device half is made from. */
export interface QueueDeviceOptions extends QueueOptions {
  /** NOTIFY_ON_EMPTY was negotiated: only legacy drivers do. Default false. */
  notifyOnEmpty?: boolean;
}

/** Bytes of a chain at most: 2^32 may be in it (virtio 1.2 §2.7.5.2), but a used length could not say so many. */
const maxChainBytes = 0xffff_ffff;
/** Pieces of up to so many bytes, as many as a ring has descriptors, are no chain of 2^32. */
const alwaysFits = 0x1_ffff;

/**
 * The pieces of a chain that a driver wants to add: first those that the device reads, then those it writes. Kept and
 * refilled by whoever owns a request, so that adding allocates nothing.
 */
export class ChainPieces {
  /** Guest-physical addresses. */
  readonly addresses: number[] = [];
  /** Bytes; each at least 1. */
  readonly lengths: number[] = [];
  /** Pieces in all. */
  count = 0;
  /** Of these, how many the device reads. */
  readableCount = 0;
  /** Bytes of a piece up to which nothing has to be added up: 0 once there was a longer one. */
  private _fits = alwaysFits;

  clear(): void {
    this._fits = alwaysFits;
    this.count = 0;
    this.readableCount = 0;
  }

  /** Adds a piece that the device reads. @throws RangeError after a writable piece, or when a chain would have 2^32 bytes. */
  addReadable(address: number, length: number): void {
    if (this.count !== this.readableCount) throw new RangeError("readable pieces come before writable ones");
    this.#store(address, length);
    this.readableCount++;
  }

  /** Adds a piece that the device writes. @throws RangeError when a chain would have 2^32 bytes. */
  addWritable(address: number, length: number): void {
    this.#store(address, length);
  }

  #store(address: number, length: number): void {
    if (length > this._fits) this.#checkRoom(length);
    this.addresses[this.count] = address;
    this.lengths[this.count] = length;
    this.count++;
  }

  #checkRoom(length: number): void {
    let bytes = length;
    for (let piece = 0; piece < this.count; piece++) bytes += this.lengths[piece];
    if (bytes > maxChainBytes) throw new RangeError(`a chain of ${bytes} bytes, ${maxChainBytes} are the most`);
    this._fits = 0;
  }
}

/** The driver's half. Nothing in it trusts what lies in shared memory. */
export interface QueueDriver<Cookie> {
  readonly index: number;
  readonly size: number;
  /** Chains that the device has. */
  readonly inFlight: number;
  /** Descriptors that are free (with indirect tables one is enough for any chain). */
  readonly free: number;
  /** Where the next chain goes, in 16 bits: what a notification carries with NOTIFICATION_DATA (virtio 1.2 §2.9). */
  readonly position: number;
  /** Bytes that the device says it wrote, of the chain that `reap` returned last. */
  readonly usedLength: number;
  /**
   * Adds a chain; `cookie` comes back when the device has used it. The device sees it after `publish`.
   * @returns false when the ring is full; nothing was changed then.
   */
  add(pieces: ChainPieces, cookie: Cookie): boolean;
  /** Makes all added chains available. True: the device wants to be notified. */
  publish(): boolean;
  /**
   * The cookie of the next used chain, or undefined when there is none now.
   * @throws ProtocolError when the device broke a rule; the queue is then unusable until a reset.
   */
  reap(): Cookie | undefined;
  /** Asks for an interrupt at the next used chain. False: one is there already, reap it first. */
  enableInterrupts(): boolean;
  /** Asks for an interrupt when `count` more chains were used. False as above. */
  enableInterruptsAfter(count: number): boolean;
  /** A hint to the device: no interrupts for now. */
  disableInterrupts(): void;
  /**
   * After a device reset: gives back the cookies of everything in flight, oldest knowledge only (no order). A device that
   * did not reset may still follow its indirect tables: with `keepsTables` their memory is never used again.
   */
  detachAll(keepsTables?: boolean): Cookie[];
}

/** The device's half. */
export interface QueueDevice {
  readonly index: number;
  readonly size: number;
  /** Chains popped and not yet pushed. */
  readonly inFlight: number;
  /** Set by the first violation; the queue then answers nothing until it is set up again. */
  readonly broken: ViolationCode | undefined;
  /**
   * The next request, or undefined when there is none.
   * @throws ProtocolError when the driver broke a rule, once; then the queue is `broken`.
   */
  pop(): Chain | undefined;
  /** Gives a chain back, `written` bytes of it filled. Seen by the driver after `publish`. */
  push(chain: Chain, written: number): void;
  /**
   * As `push`, for a request that is cancelled while a store still works on it: the chain object is emptied (what comes
   * late finds no memory to write to) and not used again.
   */
  retire(chain: Chain, written: number): void;
  /** Makes all pushed chains visible. True: the driver wants an interrupt. */
  publish(): boolean;
  /** Asks the driver for notifications. False: requests are there already, pop them first. */
  enableNotifications(): boolean;
  /** A hint to the driver: no notifications for now. */
  disableNotifications(): void;
  /**
   * Where the next chain is looked for, for GET_VRING_BASE and snapshots: split rings the available index, packed ones the
   * slot in bits 0…14 and the wrap counter in bit 15.
   */
  readonly nextAvailable: number;
}

/** A device half that can be taken along: to other memory, or to another server. */
export interface MovableQueueDevice extends QueueDevice {
  /** Where the next pushed chain goes; as {@link QueueDevice.nextAvailable}. */
  readonly nextUsed: number;
  /**
   * Where to go on when the chains that are in flight are given back unserved (the last that were popped), as
   * GET_VRING_BASE says it: split rings {@link QueueDevice.nextAvailable}, packed ones with `nextUsed` in the high half.
   */
  readonly base: number;
  /**
   * Takes the ring to be in other memory, or at another address, from here on; positions stay. Chains that are in flight
   * keep the memory that they were popped with.
   * @throws ProtocolError `ring-outside-memory`, `ring-misaligned`; nothing has changed then.
   */
  move(memory: GuestMemory, addresses: RingAddresses): void;
  /** Lets go of the ring: nothing is popped from here on, and what is still pushed reaches nobody. */
  abandon(): void;
}
