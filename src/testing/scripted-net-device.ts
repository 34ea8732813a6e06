/** A net device that does what a test says, also what no device should: for tests of the driver half. */
import type { Endianness } from "../bytes/index.js";
import type { DeviceHost, DeviceType } from "../transport/index.js";
import { netConfig, netFeatures, virtioNetId } from "../virtio/index.js";
import type { Chain, QueueDevice } from "../virtqueue/index.js";

/** A chain that the driver made available on a transmit or control queue. */
export interface SeenChain {
  readonly queue: number;
  readonly readable: Uint8Array;
  /** Lengths of the readable descriptors. */
  readonly pieces: readonly number[];
  readonly writable: number;
}

export class ScriptedNetDevice implements DeviceType {
  readonly deviceId = virtioNetId;
  readonly name = "scripted virtio-net";
  readonly featureTable = netFeatures;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly configSize = netConfig.size;
  /** Everything but receive buffers, in the order in which it came. */
  readonly seen: SeenChain[] = [];
  /** Values of the configuration. */
  readonly config = { mac: Uint8Array.of(2, 0, 0, 0, 0, 9), status: 1, maxVirtqueuePairs: 1, mtu: 1500 };
  /** Transmit chains are kept instead of being used. */
  holdsPackets = false;
  /** Control chains are kept, too. */
  holdsCommands = false;
  /** The answer to control commands; none writes nothing. */
  ack: number | undefined = 0;
  host!: DeviceHost;
  readonly #kept: { queue: number; chain: Chain }[] = [];

  constructor(features: bigint, queueSizes: readonly number[] = [16, 16, 16]) {
    this.features = features;
    this.queueSizes = queueSizes;
  }

  attach(host: DeviceHost): void {
    this.host = host;
  }

  readConfig(view: DataView, endianness: Endianness): void {
    netConfig.write(view, 0, endianness, this.config);
  }

  writeConfig(): void {}

  notified(index: number): void {
    if (index === 0) return;
    const queue = this.host.queue(index);
    if (queue === undefined) return;
    do {
      for (let chain = queue.pop(); chain !== undefined; chain = queue.pop()) this.#take(queue, chain);
    } while (!queue.enableNotifications());
    if (queue.publish()) this.host.signal(index);
  }

  #take(queue: QueueDevice, chain: Chain): void {
    const { readable, writable } = chain;
    const pieces = readable.lengths.slice(readable.first, readable.end);
    this.seen.push({ queue: queue.index, readable: readable.toBytes(), pieces, writable: writable.byteLength });
    const isCommand = writable.byteLength > 0;
    if (isCommand ? this.holdsCommands : this.holdsPackets) this.#kept.push({ queue: queue.index, chain });
    else queue.push(chain, isCommand && this.ack !== undefined ? writable.write(Uint8Array.of(this.ack)) : 0);
  }

  /** Lengths of the next `count` receive buffers, which are kept. */
  takeBuffers(count: number): number[] {
    const queue = this.host.queue(0);
    const lengths: number[] = [];
    for (let chain = queue?.pop(); chain !== undefined; chain = lengths.length < count ? queue?.pop() : undefined) {
      this.#kept.push({ queue: 0, chain });
      lengths.push(chain.writable.byteLength);
    }
    return lengths;
  }

  /** Fills one receive buffer for each part and publishes them together. @param lengths what is said to be written. */
  fill(parts: readonly Uint8Array[], lengths: readonly number[] = parts.map(({ length }) => length)): void {
    const queue = this.host.queue(0);
    for (const [index, part] of parts.entries()) {
      const chain = queue?.pop();
      if (chain === undefined) throw new RangeError("the driver gave no buffer");
      chain.writable.write(part);
      queue?.push(chain, lengths[index]);
    }
    if (queue?.publish() === true) this.host.signal(0);
  }

  reset(): void {
    this.#kept.length = 0;
  }

  resetQueue(index: number): void {
    for (let at = this.#kept.length - 1; at >= 0; at--) if (this.#kept[at].queue === index) this.#kept.splice(at, 1);
  }
}
