/**
 * One receive queue, driver half: gives the device buffers, and puts packets together from what it filled (virtio 1.2
 * §5.1.6.3, §5.1.6.4). Nothing that the device wrote is looked at twice.
 */
import { ProtocolError, type ViolationCode } from "../../errors/index.js";
import type { DmaBlock } from "../../memory/index.js";
import { ethernetHeaderLength, maxPacketLength, Packet, ViewCaches } from "../../packet/index.js";
import { type DriverLink, ringFeatures } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import { type OffloadRules, offloadFault, readNetHeader } from "./net-header.js";
import { netHeader } from "./protocol.js";

/** One buffer that the device has. */
interface ReceiveBuffer {
  /** Where it lies in its region. */
  readonly offset: number;
  readonly pieces: ChainPieces;
}

/** How packets come; the same object for all queues of a driver. */
export interface ReceiveLayout {
  readonly headerSize: number;
  readonly isMergeable: boolean;
  /** Legacy devices want the header in a descriptor of its own, unless they said otherwise (ANY_LAYOUT). */
  readonly hasHeaderApart: boolean;
  /** Bytes of a buffer, its header included. */
  readonly bufferSize: number;
  readonly buffers: number;
  readonly rules: OffloadRules;
  readonly frame: (packet: Packet) => void;
  /** A packet broke a rule and is dropped. */
  readonly refuse: (error: ProtocolError) => void;
}

export class DriverReceiver {
  readonly #link: DriverLink;
  readonly #layout: ReceiveLayout;
  readonly #block: DmaBlock;
  readonly #buffers: ReceiveBuffer[] = [];
  readonly #packet = Packet.ofCapacity(maxPacketLength);
  readonly #header = new DataView(new ArrayBuffer(netHeader.size));
  readonly #headerBytes = new Uint8Array(this.#header.buffer);
  readonly #caches = new ViewCaches();
  #queue: QueueDriver<ReceiveBuffer>;

  constructor(link: DriverLink, index: number, layout: ReceiveLayout) {
    this.#link = link;
    this.#layout = layout;
    this.#queue = link.createQueue<ReceiveBuffer>(index);
    const { bufferSize, headerSize, hasHeaderApart } = layout;
    const perBuffer = hasHeaderApart && !link.has(ringFeatures.INDIRECT_DESC) ? 2 : 1;
    const count = Math.min(layout.buffers, Math.floor(this.#queue.size / perBuffer));
    this.#block = link.transport.dma.allocate(Math.max(1, count) * bufferSize, 64);
    for (let number = 0; number < count; number++) {
      const address = this.#block.address + number * bufferSize;
      const pieces = new ChainPieces();
      if (hasHeaderApart) {
        pieces.addWritable(address, headerSize);
        pieces.addWritable(address + headerSize, bufferSize - headerSize);
      } else pieces.addWritable(address, bufferSize);
      this.#buffers.push({ offset: this.#block.offset + number * bufferSize, pieces });
    }
  }

  /** Gives the device all buffers; call it after DRIVER_OK. */
  start(): void {
    for (const buffer of this.#buffers) this.#queue.add(buffer.pieces, buffer);
    this.#publish();
  }

  /** Takes packets until there are none. Returns how many. @throws ProtocolError */
  poll(): number {
    let count = 0;
    for (let buffer = this.#queue.reap(); buffer !== undefined; buffer = this.#queue.reap()) {
      count++;
      this.#take(buffer);
    }
    if (count > 0) this.#publish();
    return count;
  }

  /** As `poll`, then asks for an interrupt. @throws ProtocolError */
  interrupt(): void {
    do this.poll();
    while (!this.#queue.enableInterrupts());
  }

  /** RING_RESET: the device gives all buffers up and gets them again. @throws ProtocolError `reset-never-ends` */
  async reset(_error: Error): Promise<void> {
    await this.#link.resetQueue(this.#queue);
    this.#queue = this.#link.createQueue<ReceiveBuffer>(this.#queue.index);
    this.start();
  }

  /** After a reset. Memory that the device may still write to is kept. */
  close(keepsMemory: boolean): void {
    this.#queue.detachAll(keepsMemory);
    if (!keepsMemory) this.#link.transport.dma.free(this.#block);
  }

  #publish(): void {
    if (this.#queue.publish()) this.#link.transport.notify(this.#queue.index);
  }

  #take(first: ReceiveBuffer): void {
    const { headerSize, isMergeable, rules } = this.#layout;
    const used = this.#queue.usedLength;
    if (used < headerSize) {
      this.#give(first);
      this.#refuse("response-short", `${used} of ${headerSize} bytes`);
      return;
    }
    const packet = this.#packet;
    const cache = this.#caches.of(this.#block.region.bytes);
    cache.copyTo(first.offset, headerSize, this.#headerBytes, 0);
    packet.begin(used - headerSize);
    cache.copyTo(first.offset + headerSize, packet.length, packet.bytes, 0);
    this.#give(first);
    const little = this.#link.transport.endianness === "little";
    const buffers = isMergeable ? this.#header.getUint16(netHeader.offset.numBuffers, little) : 1;
    if (!this.#takeRest(packet, buffers)) return;
    readNetHeader(this.#header, 0, little, packet);
    const fault = offloadFault(packet, rules);
    if (packet.length < ethernetHeaderLength) this.#refuse("packet-length-invalid", `${packet.length} bytes`);
    else if (fault !== undefined) this.#refuse("packet-offload-invalid", fault);
    else {
      if (!rules.checksum) packet.checksumValid = false;
      this.#layout.frame(packet);
    }
  }

  /** The other buffers of a packet. @returns false when it is dropped. */
  #takeRest(packet: Packet, buffers: number): boolean {
    const cache = this.#caches.of(this.#block.region.bytes);
    for (let number = 1; number < buffers; number++) {
      const buffer = this.#queue.reap();
      if (buffer === undefined) {
        this.#refuse("packet-buffers-missing", `${number} of ${buffers}`);
        return false;
      }
      const used = this.#queue.usedLength;
      if (packet.length + used <= maxPacketLength) cache.copyTo(buffer.offset, used, packet.bytes, packet.length);
      packet.length += used;
      this.#give(buffer);
    }
    if (buffers === 0) this.#refuse("packet-buffers-missing", "0");
    else if (packet.length > maxPacketLength) this.#refuse("packet-length-invalid", `${packet.length} bytes`);
    else return true;
    return false;
  }

  #give(buffer: ReceiveBuffer): void {
    this.#queue.add(buffer.pieces, buffer);
  }

  #refuse(code: ViolationCode, detail: string): void {
    this.#layout.refuse(new ProtocolError(code, { queue: this.#queue.index, detail }));
  }
}
