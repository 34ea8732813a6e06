/**
 * Requests in flight, written down in memory that outlives the back end (vhost-user, "Inflight I/O tracking", split
 * rings): whoever serves the queue next finds there which requests were popped and not pushed.
 *
 * The memory is shared with the front end: nothing in it is believed without a check.
 */
import { hostEndianness } from "../../bytes/index.js";
import { clearRecord, isRecord, PopOrder, recordRegionSize, sealRecord } from "./flight-record.js";

const little = hostEndianness === "little";
const layout = { headerSize: 16, entrySize: 16 } as const;
const lastHeadAt = 12;
const usedIndexAt = 14;
const nextAt = 6;

/** Bytes of one queue's region. */
export function inflightRegionSize(queueSize: number): number {
  return recordRegionSize(layout, queueSize);
}

/** One queue's record. */
export class InflightRecord {
  readonly #size: number;
  readonly #view: DataView;
  readonly #batch: Uint16Array;
  #batchLength = 0;
  readonly #order = new PopOrder();

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
    if (!isRecord(view, this.#size)) {
      clearRecord(view, layout, this.#size);
      view.setUint16(usedIndexAt, usedIndex, little);
      sealRecord(view, this.#size);
      return [];
    }
    this.#endLastBatch(usedIndex);
    const heads: number[] = [];
    for (let head = 0; head < this.#size; head++) if (view.getUint8(this.#entry(head)) === 1) heads.push(head);
    this.#order.resume(view, heads, (head) => this.#entry(head));
    return heads;
  }

  /** A request was popped; called before anything is done for it. */
  begin(head: number): void {
    const at = this.#entry(head);
    this.#order.stamp(this.#view, at);
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
    return layout.headerSize + layout.entrySize * head;
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
