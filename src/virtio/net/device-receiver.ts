/**
 * One receive queue, device half: buffers wait here for packets. A packet goes into one buffer or, with MRG_RXBUF, into
 * as many as it takes (virtio 1.2 §5.1.6.3, §5.1.6.4); packets that find none wait too, up to a limit.
 */
import { ProtocolError, type ViolationCode } from "../../errors/index.js";
import { PageViews } from "../../memory/index.js";
import { type Packet, ViewCaches } from "../../packet/index.js";
import type { DeviceHost } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { writeNetHeader } from "./net-header.js";
import { scatterInto } from "./packet-copies.js";
import { netHeader } from "./protocol.js";

/** Bytes that may wait for buffers, besides the packet limit. */
const backlogBytes = 1 << 20;

/** What a receiver knows of its device; the same object for all queues, changed when features are. */
export interface ReceiverRules {
  /** Bytes before a packet. */
  headerSize: number;
  /** MRG_RXBUF was negotiated. */
  isMergeable: boolean;
  /** A request broke a rule. */
  readonly refuse: (queue: QueueDevice, error: ProtocolError) => void;
}

export class DeviceReceiver {
  readonly #host: DeviceHost;
  readonly #index: number;
  readonly #rules: ReceiverRules;
  readonly #limit: number;
  readonly #caches = new ViewCaches();
  /** Buffers of the driver's that wait, oldest first, and their bytes. */
  readonly #held: Chain[] = [];
  #room = 0;
  /** Packets that wait for buffers, oldest first, and their bytes. */
  readonly #backlog: Packet[] = [];
  #backlogBytes = 0;
  readonly #header = new Uint8Array(netHeader.size);
  readonly #headerView = new DataView(this.#header.buffer);
  readonly #headerPages = new PageViews(this.#header);
  readonly #written: number[] = [];

  constructor(host: DeviceHost, index: number, rules: ReceiverRules, limit: number) {
    this.#host = host;
    this.#index = index;
    this.#rules = rules;
    this.#limit = limit;
  }

  /** Packets that wait for buffers. */
  get waiting(): number {
    return this.#backlog.length;
  }

  /** Puts a packet into buffers, or keeps a copy until there are some. False: it was dropped. */
  receive(packet: Packet): boolean {
    const queue = this.#host.queue(this.#index);
    if (queue === undefined || queue.broken !== undefined) return false;
    if (this.#backlog.length === 0) {
      const outcome = this.#place(queue, packet);
      if (outcome !== "no-buffers") return outcome === "placed";
    }
    return this.#keep(packet);
  }

  /** The driver added buffers. */
  refill(): void {
    const queue = this.#host.queue(this.#index);
    if (queue === undefined) return;
    while (this.#backlog.length > 0 && this.#place(queue, this.#backlog[0]) !== "no-buffers") this.#forgetOldest();
    // A driver in need of a notice for every buffer gets one: with nothing waiting, buffers are fetched when needed.
    if (this.#backlog.length === 0) queue.disableNotifications();
    else if (!queue.enableNotifications()) this.refill();
  }

  /** Nothing waits any more; the driver has its buffers back. */
  reset(): void {
    this.#held.length = 0;
    this.#room = 0;
    this.#backlog.length = 0;
    this.#backlogBytes = 0;
  }

  #keep(packet: Packet): boolean {
    if (this.#limit === 0) return false;
    while (
      this.#backlog.length > 0 &&
      (this.#backlog.length >= this.#limit || this.#backlogBytes + packet.length > backlogBytes)
    ) {
      this.#forgetOldest();
    }
    this.#backlog.push(packet.copy());
    this.#backlogBytes += packet.length;
    const queue = this.#host.queue(this.#index);
    if (queue !== undefined && !queue.enableNotifications()) this.refill();
    return true;
  }

  #forgetOldest(): void {
    this.#backlogBytes -= (this.#backlog.shift() as Packet).length;
  }

  #place(queue: QueueDevice, packet: Packet): "placed" | "dropped" | "no-buffers" {
    const { headerSize, isMergeable } = this.#rules;
    const needed = headerSize + packet.length;
    const held = this.#held;
    if (isMergeable) {
      while (this.#room < needed && this.#take(queue));
      // A packet that all of the ring's buffers together cannot hold would wait for ever.
      if (this.#room < needed) return held.length === queue.size ? "dropped" : "no-buffers";
    } else {
      if (held.length === 0 && !this.#take(queue)) return "no-buffers";
      const room = held[0].writable.byteLength;
      if (room < needed) {
        const detail = `${room} of ${needed} bytes`;
        this.#rules.refuse(queue, new ProtocolError("response-space-short", { queue: queue.index, detail }));
        return "dropped";
      }
    }
    this.#write(queue, packet, headerSize);
    return "placed";
  }

  #write(queue: QueueDevice, packet: Packet, headerSize: number): void {
    const held = this.#held;
    const source = this.#caches.of(packet.bytes);
    let skip = headerSize;
    let count = 0;
    for (let done = 0; done < packet.length || count === 0; count++) {
      const step = scatterInto(source, done, packet.length - done, held[count].writable, skip);
      this.#written[count] = skip + step;
      done += step;
      skip = 0;
    }
    const little = this.#host.endianness === "little";
    writeNetHeader(this.#headerView, 0, headerSize, little, packet);
    if (headerSize === netHeader.size) this.#headerView.setUint16(netHeader.offset.numBuffers, count, little);
    held[0].writable.copyIn(this.#headerPages, 0, headerSize);
    for (let index = 0; index < count; index++) {
      const chain = held.shift() as Chain;
      this.#room -= chain.writable.byteLength;
      queue.push(chain, this.#written[index]);
    }
    if (queue.publish()) this.#host.signal(queue.index);
  }

  /** Fetches one more buffer; false when there is none. Buffers that cannot be used go back at once. */
  #take(queue: QueueDevice): boolean {
    try {
      for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) {
        if (chain.readable.byteLength > 0) this.#giveBack(queue, chain, "request-data-direction");
        else if (chain.writable.byteLength < this.#rules.headerSize) {
          this.#giveBack(queue, chain, "response-space-short");
        } else {
          this.#held.push(chain);
          this.#room += chain.writable.byteLength;
          return true;
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#host.fail(error);
    }
    return false;
  }

  #giveBack(queue: QueueDevice, chain: Chain, code: ViolationCode): void {
    this.#rules.refuse(queue, new ProtocolError(code, { queue: queue.index, head: chain.head }));
    queue.push(chain, 0);
    if (queue.publish()) this.#host.signal(queue.index);
  }
}
