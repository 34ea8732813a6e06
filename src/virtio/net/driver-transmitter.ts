/** One transmit queue, driver half: packets are copied into slots that the device reads (virtio 1.2 §5.1.6.2). */
import { blockBytes, type DmaBlock } from "../../memory/index.js";
import { maxPacketLength, type Packet, ViewCaches } from "../../packet/index.js";
import { type DriverLink, ringFeatures } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import { writeNetHeader } from "./net-header.js";

/** Room of a slot for ordinary packets, and of one for those that the device cuts. */
const smallSlot = 2048;
const largeSlot = Math.ceil((maxPacketLength + 64) / 64) * 64;
/** Slots of the large kind that a queue has at most. */
const mostLargeSlots = 16;

/** Told once what became of a packet: `undefined` when the device took it. */
export type TransmitEnd = (error: Error | undefined) => void;

/** Memory for one packet. */
interface Slot {
  readonly block: DmaBlock;
  readonly pieces: ChainPieces;
  readonly isLarge: boolean;
  onEnd: TransmitEnd | undefined;
}

export class DriverTransmitter {
  readonly #link: DriverLink;
  readonly #headerSize: number;
  readonly #hasHeaderApart: boolean;
  readonly #small: Slot[] = [];
  readonly #large: Slot[] = [];
  readonly #all: Slot[] = [];
  readonly #caches = new ViewCaches();
  #largeSlots = 0;
  #queue: QueueDriver<Slot>;

  constructor(link: DriverLink, index: number, headerSize: number, hasHeaderApart: boolean) {
    this.#link = link;
    this.#headerSize = headerSize;
    this.#hasHeaderApart = hasHeaderApart;
    this.#queue = link.createQueue<Slot>(index);
  }

  /** Packets that the device has. */
  get inFlight(): number {
    return this.#queue.inFlight;
  }

  /** Puts a packet on the ring; the device sees it after `flush`. False: there is no room now. */
  transmit(packet: Packet, onEnd?: TransmitEnd): boolean {
    const { length } = packet;
    const slot = this.#acquire(this.#headerSize + length);
    if (slot === undefined) return false;
    const { block, pieces } = slot;
    const { region } = block;
    const little = this.#link.transport.endianness === "little";
    writeNetHeader(region.view, block.offset, this.#headerSize, little, packet);
    const at = block.offset + this.#headerSize;
    if (packet.bytes.length === length) region.bytes.set(packet.bytes, at);
    else this.#caches.of(packet.bytes).copyTo(0, length, region.bytes, at);
    pieces.clear();
    if (this.#hasHeaderApart) {
      pieces.addReadable(block.address, this.#headerSize);
      pieces.addReadable(block.address + this.#headerSize, length);
    } else pieces.addReadable(block.address, this.#headerSize + length);
    slot.onEnd = onEnd;
    if (this.#queue.add(pieces, slot)) return true;
    this.#release(slot);
    return false;
  }

  /** Shows the device what was put on the ring. */
  flush(): void {
    if (this.#queue.publish()) this.#link.transport.notify(this.#queue.index);
  }

  /** Takes slots back that the device has read. Returns how many. @throws ProtocolError */
  reclaim(): number {
    let count = 0;
    for (let slot = this.#queue.reap(); slot !== undefined; slot = this.#queue.reap()) {
      const { onEnd } = slot;
      this.#release(slot);
      onEnd?.(undefined);
      count++;
    }
    return count;
  }

  /** Asks for an interrupt when more was sent. False: that is the case already, reclaim first. */
  enableInterrupts(): boolean {
    return this.#queue.enableInterrupts();
  }

  /** Nobody waits for a packet: no interrupt is wanted. */
  ignore(): void {
    this.#queue.disableInterrupts();
  }

  /** RING_RESET: what the device had not sent fails with `error`. @throws ProtocolError `reset-never-ends` */
  async reset(error: Error): Promise<void> {
    const left = await this.#link.resetQueue(this.#queue);
    this.#queue = this.#link.createQueue<Slot>(this.#queue.index);
    this.#end(left, error);
  }

  /** After a reset: packets that were in flight fail. Memory that the device may still read is kept. */
  close(error: Error, keepsMemory: boolean): void {
    this.#end(this.#queue.detachAll(keepsMemory), error);
    if (!keepsMemory) for (const slot of this.#all.splice(0)) this.#link.transport.dma.free(slot.block);
  }

  #end(slots: readonly Slot[], error: Error): void {
    for (const slot of slots) {
      const { onEnd } = slot;
      this.#release(slot);
      onEnd?.(error);
    }
  }

  #acquire(size: number): Slot | undefined {
    const isLarge = size > smallSlot;
    const pooled = (isLarge ? this.#large : this.#small).pop();
    if (pooled !== undefined) return pooled;
    if (isLarge && this.#largeSlots >= mostLargeSlots) return undefined;
    // A full ring needs no more slots than it has descriptors.
    if (!isLarge && this.#all.length >= this.#queue.size + mostLargeSlots) return undefined;
    const block = this.#link.transport.dma.allocate(isLarge ? largeSlot : smallSlot, 64);
    blockBytes(block).fill(0);
    const slot: Slot = { block, pieces: new ChainPieces(), isLarge, onEnd: undefined };
    if (isLarge) this.#largeSlots++;
    this.#all.push(slot);
    return slot;
  }

  #release(slot: Slot): void {
    slot.onEnd = undefined;
    (slot.isLarge ? this.#large : this.#small).push(slot);
  }
}

/** Whether a device wants the header in a descriptor of its own (0.9.5 §2.3.4, footnote; virtio 1.2 §5.1.6.6). */
export function wantsHeaderApart(link: DriverLink): boolean {
  return link.transport.isLegacy && !link.has(ringFeatures.ANY_LAYOUT);
}
