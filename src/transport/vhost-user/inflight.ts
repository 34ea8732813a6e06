/**
 * Requests in flight, written down in memory that outlives the back end (vhost-user, "Inflight I/O tracking", split
 * rings): whoever serves the queue next finds there which requests were popped and not pushed.
 *
 * The memory is shared with the front end: nothing in it is believed without a check.
 */
import { hostEndianness } from "../../bytes/index.js";

const little = hostEndianness === "little";
const version = 1;
const largestCounter = 2n ** 52n;

// The header of a queue's region, then 16 bytes a descriptor.
const versionAt = 8;
const sizeAt = 10;
const lastHeadAt = 12;
const usedIndexAt = 14;
const headerSize = 16;
const entrySize = 16;
const nextAt = 6;
const counterAt = 8;
/** Regions of queues start at multiples of this. */
const regionAlignment = 64;

/** Bytes of one queue's region. */
export function inflightRegionSize(queueSize: number): number {
  return Math.ceil((headerSize + entrySize * queueSize) / regionAlignment) * regionAlignment;
}

/** One queue's record. */
export class InflightRecord {
  readonly #size: number;
  readonly #view: DataView;
  readonly #batch: Uint16Array;
  #batchLength = 0;
  /** Numbers requests in the order in which they were popped. */
  #counter = 1;

  /** @param bytes the queue's region, at least {@link inflightRegionSize} bytes. */
  constructor(bytes: Uint8Array, queueSize: number) {
    this.#size = queueSize;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#batch = new Uint16Array(queueSize);
  }

  /**
   * Takes the record over, from an earlier server or fresh. @param usedIndex the used index in the ring.
   * @returns the heads to serve again, in their order.
   */
  recover(usedIndex: number): number[] {
    const view = this.#view;
    if (view.getUint16(versionAt, little) !== version || view.getUint16(sizeAt, little) !== this.#size) {
      this.#begin(usedIndex);
      return [];
    }
    this.#endLastBatch(usedIndex);
    const found: { head: number; counter: bigint }[] = [];
    let highest = 0n;
    for (let head = 0; head < this.#size; head++) {
      const at = this.#entry(head);
      if (view.getUint8(at) !== 1) continue;
      const counter = view.getBigUint64(at + counterAt, little);
      if (counter > highest) highest = counter;
      found.push({ head, counter });
    }
    // A counter past 2^53 was not written by us; numbers then start again, above nothing that is left.
    this.#counter = highest < largestCounter ? Number(highest) + 1 : 1;
    found.sort((a, b) => (a.counter < b.counter ? -1 : a.counter > b.counter ? 1 : a.head - b.head));
    return found.map(({ head }) => head);
  }

  /** A request was popped; called before anything is done for it. */
  begin(head: number): void {
    const at = this.#entry(head);
    const counter = this.#counter++;
    const low = counter >>> 0;
    this.#view.setUint32(at + (little ? counterAt : counterAt + 4), low, little);
    this.#view.setUint32(at + (little ? counterAt + 4 : counterAt), (counter - low) / 0x1_0000_0000, little);
    this.#view.setUint8(at, 1);
  }

  /** A request was pushed; it ends with the batch. */
  push(head: number): void {
    const view = this.#view;
    view.setUint16(this.#entry(head) + nextAt, view.getUint16(lastHeadAt, little), little);
    view.setUint16(lastHeadAt, head, little);
    this.#batch[this.#batchLength++] = head;
  }

  /** The used index was published: what was pushed before is done. */
  publish(usedIndex: number): void {
    for (let index = 0; index < this.#batchLength; index++) this.#view.setUint8(this.#entry(this.#batch[index]), 0);
    this.#batchLength = 0;
    this.#view.setUint16(usedIndexAt, usedIndex, little);
  }

  /** Nothing is in flight any more. */
  clear(): void {
    for (let head = 0; head < this.#size; head++) this.#view.setUint8(this.#entry(head), 0);
  }

  #entry(head: number): number {
    return headerSize + entrySize * head;
  }

  /** A fresh record. */
  #begin(usedIndex: number): void {
    const view = this.#view;
    new Uint8Array(view.buffer, view.byteOffset, headerSize + entrySize * this.#size).fill(0);
    view.setUint16(sizeAt, this.#size, little);
    view.setUint16(usedIndexAt, usedIndex, little);
    view.setUint16(versionAt, version, little);
  }

  /** The server ended between publishing a batch and clearing its entries. */
  #endLastBatch(usedIndex: number): void {
    const view = this.#view;
    const length = (usedIndex - view.getUint16(usedIndexAt, little)) & 0xffff;
    if (length === 0) return;
    let head = view.getUint16(lastHeadAt, little);
    for (let done = 0; done < Math.min(length, this.#size) && head < this.#size; done++) {
      view.setUint8(this.#entry(head), 0);
      head = view.getUint16(this.#entry(head) + nextAt, little);
    }
    view.setUint16(usedIndexAt, usedIndex, little);
  }
}
