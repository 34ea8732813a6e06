/**
 * The request queue of a controller the way version 1.5 drives it (chapter 3 of the reference): AddBuf, Kick, GetBuf and
 * the interrupt that is asked for. What a request is, and whose, is the caller's.
 */
import { hostEndianness, swap16, swap32 } from "../../../bytes/index.js";
import type { GuestMemory } from "../../../memory/index.js";
import type { Observer } from "../../../observe/index.js";
import { responseHeader } from "../../../virtio/index.js";
import { layoutAt, SplitDriver } from "../../../virtqueue/index.js";
import type { DeviceBehaviour } from "../device/behaviour.js";
import type { PipelineSlot } from "../device/pipeline-slot.js";
import type { ExecMemory } from "../exec/index.js";
import { type ControllerRegisters, requestQueue } from "./controller-registers.js";
import type { RingBlock } from "./ring-block.js";

/** What the queue is made of. */
export interface OwnQueueOptions {
  readonly registers: ControllerRegisters;
  readonly ring: RingBlock;
  readonly size: number;
  readonly eventIndex: boolean;
  readonly memory: ExecMemory;
  readonly behaviour: DeviceBehaviour;
  readonly startIndex?: number | undefined;
  readonly observer?: Observer | undefined;
}

export class OwnQueue {
  readonly #ring: SplitDriver<PipelineSlot>;
  readonly #registers: ControllerRegisters;
  readonly #behaviour: DeviceBehaviour;
  readonly #memory: GuestMemory;
  readonly #usedEvent: number;
  readonly #availEvent: number;
  readonly #swaps: boolean;
  readonly #eventIndex: boolean;
  #lastUsed: number;
  #added: number;
  #lastKick = 0;
  /** Notifications and completions so far. */
  kicks = 0;
  completions = 0;

  constructor(options: OwnQueueOptions) {
    const { registers, ring, size, memory, behaviour, startIndex = 0 } = options;
    const addresses = layoutAt(ring.layout, ring.physical);
    this.#registers = registers;
    this.#behaviour = behaviour;
    this.#memory = memory.memory;
    this.#eventIndex = options.eventIndex;
    this.#swaps = registers.endianness !== hostEndianness;
    this.#usedEvent = addresses.available + 4 + 2 * size;
    this.#availEvent = addresses.used + 4 + 8 * size;
    this.#lastUsed = startIndex;
    this.#added = startIndex;
    this.#ring = new SplitDriver<PipelineSlot>(memory.memory, {
      index: requestQueue,
      size,
      addresses,
      endianness: registers.endianness,
      indirect: false,
      eventIndex: options.eventIndex,
      dma: memory.dma,
      excessUsedLength: "cut",
      startIndex,
      observer: options.observer,
    });
  }

  get size(): number {
    return this.#ring.size;
  }

  get inFlight(): number {
    return this.#ring.inFlight;
  }

  /** AddBuf. False when the ring is full. */
  add(slot: PipelineSlot): boolean {
    if (!this.#ring.add(slot.scsi.pieces, slot)) return false;
    this.#added = (this.#added + 1) & 0xffff;
    return true;
  }

  /** Shows the device what was added, and notifies it. */
  kick(): void {
    const old = this.#lastKick;
    const isWanted = this.#ring.publish();
    const added = this.#added;
    if (added === old) return;
    this.#lastKick = added;
    switch (this.#behaviour.kick) {
      case "as-needed":
        if (!isWanted) return;
        break;
      case "remembered-index":
        // The index before the first one of the batch; it starts at 0, and so looks kicked already.
        if (((added - 1) & 0xffff) === old) return;
        break;
      case "wrong-half": {
        // The event index is read as the low half of a 32-bit element: on this processor the bytes behind it.
        const event = this.#eventIndex ? this.#load16(this.#availEvent + 2) : 0;
        if (((added - event - 1) & 0xffff) >= ((added - old) & 0xffff)) return;
        break;
      }
      case "always":
        break;
    }
    this.kicks++;
    this.#registers.notify(requestQueue);
  }

  /** GetBuf: the next completed request, its answer taken. @throws ProtocolError */
  get(): PipelineSlot | undefined {
    const slot = this.#ring.reap();
    if (slot === undefined) return undefined;
    this.completions++;
    this.#lastUsed = (this.#lastUsed + 1) & 0xffff;
    const { scsi } = slot;
    scsi.readAnswer(this.#ring.usedLength);
    if (this.#behaviour.residualOrder === "native" && this.#registers.endianness === "little") {
      const at = scsi.responseOffset + responseHeader.offset.residual;
      scsi.residual = swap32(scsi.slot.region.view.getUint32(at, true));
    }
    if (this.#behaviour.usedEvent === "each") this.#ring.enableInterrupts();
    return slot;
  }

  /** At the end of a harvest: asks for one interrupt when `occupied` requests have come back. True: look again. */
  coalesce(occupied: number): boolean {
    const { coalescing, usedEvent, usedEventOrder } = this.#behaviour;
    if (coalescing === "none" || occupied < 2 || !this.#eventIndex) {
      return usedEvent === "each" && !this.#ring.enableInterrupts();
    }
    const count = coalescing === "one-too-many" ? occupied + 1 : occupied;
    if (usedEventOrder === "native" && this.#registers.endianness === "little") {
      this.#store16(this.#usedEvent, swap16((this.#lastUsed + count - 1) & 0xffff));
      return false;
    }
    return !this.#ring.enableInterruptsAfter(count);
  }

  /** Where the next completion will be, as the device counts. */
  get lastUsed(): number {
    return this.#lastUsed;
  }

  /** used_event as it stands in the ring. */
  get usedEvent(): number {
    return this.#load16(this.#usedEvent);
  }

  /** After a reset: what was in flight. */
  detachAll(): PipelineSlot[] {
    return this.#ring.detachAll();
  }

  #load16(address: number): number {
    const region = this.#memory.findRange(address, 2);
    return region === undefined ? 0 : region.view.getUint16(address - region.base, this.#isLittle);
  }

  #store16(address: number, value: number): void {
    const region = this.#memory.findRange(address, 2);
    region?.view.setUint16(address - region.base, value, this.#isLittle);
  }

  get #isLittle(): boolean {
    return (hostEndianness === "little") !== this.#swaps;
  }
}
