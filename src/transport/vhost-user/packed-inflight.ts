/**
 * Requests in flight on a packed ring, written down in memory that outlives the back end (vhost-user, "Inflight I/O
 * tracking", packed rings). A used descriptor overwrites what the driver wrote, so the descriptors themselves are kept.
 *
 * The memory is shared with the front end: nothing in it is believed without a check.
 */
import { hostEndianness } from "../../bytes/index.js";
import { firstPlace, movePlace, type PackedDescriptor, PackedFlag, wrapBit } from "../../virtqueue/index.js";
import { clearRecord, isRecord, PopOrder, recordRegionSize, sealRecord } from "./flight-record.js";

const little = hostEndianness === "little";
const layout = { headerSize: 32, entrySize: 32 } as const;
const freeHeadAt = 12;
const oldFreeHeadAt = 14;
const usedAt = 16;
const oldUsedAt = 18;
const usedWrapAt = 20;
const oldUsedWrapAt = 21;
const nextAt = 2;
const lastAt = 4;
const countAt = 6;
const idAt = 16;
const flagsAt = 18;
const lengthAt = 20;
const addressAt = 24;
/** The end of the list of free entries. */
const noEntry = 0xffff;

/** Bytes of one queue's region. */
export function packedInflightRegionSize(queueSize: number): number {
  return recordRegionSize(layout, queueSize);
}

/** What a record needs of its ring: words of descriptors as they lie there, by slot. */
export interface RecordedRing {
  /** Word `word` (0…3: address low, high, length, id and flags) of the descriptor in `slot`. */
  descriptorWord(slot: number, word: number): number;
}

/** What an earlier server left. */
export interface PackedLeftovers {
  /** Where the next used descriptor goes. */
  readonly used: number;
  /** Chains to serve again, in the order in which they were popped. */
  readonly chains: readonly (readonly PackedDescriptor[])[];
}

/** One queue's record. */
export class PackedInflightRecord {
  readonly #size: number;
  readonly #view: DataView;
  /** Entry of a chain's first descriptor, by buffer id. */
  readonly #entryOf = new Uint16Array(2 ** 16);
  readonly #batch: Uint16Array;
  #batchLength = 0;
  readonly #order = new PopOrder();

  /** @param bytes the queue's region, at least {@link packedInflightRegionSize} bytes. */
  constructor(bytes: Uint8Array, queueSize: number) {
    this.#size = queueSize;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#batch = new Uint16Array(queueSize);
  }

  /**
   * Takes the record over. @param flagsOf flags of the descriptor in a slot of the ring. @param used where a fresh record
   * starts.
   */
  recover(flagsOf: (slot: number) => number, used = firstPlace): PackedLeftovers {
    const view = this.#view;
    if (!isRecord(view, this.#size) || view.getUint16(oldUsedAt, little) >= this.#size) {
      clearRecord(view, layout, this.#size);
      this.#linkFree(new Uint8Array(this.#size));
      this.#store(used);
      sealRecord(view, this.#size);
      return { used, chains: [] };
    }
    const place = this.#endLastBatch(flagsOf);
    const found: { entry: number; chain: PackedDescriptor[] }[] = [];
    const taken = new Uint8Array(this.#size);
    for (let entry = 0; entry < this.#size; entry++) {
      if (view.getUint8(this.#at(entry)) !== 1) continue;
      const chain = this.#chainAt(entry, taken);
      if (chain === undefined) view.setUint8(this.#at(entry), 0);
      else found.push({ entry, chain });
    }
    this.#linkFree(taken);
    this.#order.resume(view, found, ({ entry }) => this.#at(entry));
    for (const { entry, chain } of found) this.#entryOf[chain[chain.length - 1].id] = entry;
    return { used: place, chains: found.map(({ chain }) => chain) };
  }

  /** A chain was popped; called before anything is done for it. @param slot where its first descriptor lies. */
  begin(id: number, ring: RecordedRing, slot: number, count: number): void {
    const view = this.#view;
    const head = view.getUint16(freeHeadAt, little) % this.#size;
    let entry = head;
    let last = head;
    for (let done = 0, from = slot; done < count; done++, from = from + 1 === this.#size ? 0 : from + 1) {
      // A front end that spoils the list spoils its own record.
      if (entry >= this.#size) entry %= this.#size;
      const at = this.#at(entry);
      const tail = ring.descriptorWord(from, 3);
      view.setUint16(at + idAt, tail & 0xffff, little);
      view.setUint16(at + flagsAt, tail >>> 16, little);
      view.setUint32(at + lengthAt, ring.descriptorWord(from, 2), little);
      view.setUint32(at + (little ? addressAt : addressAt + 4), ring.descriptorWord(from, 0), little);
      view.setUint32(at + (little ? addressAt + 4 : addressAt), ring.descriptorWord(from, 1), little);
      last = entry;
      entry = view.getUint16(at + nextAt, little);
    }
    const at = this.#at(head);
    view.setUint16(at + lastAt, last, little);
    view.setUint16(at + countAt, count, little);
    this.#order.stamp(view, at);
    // The ring may say another id by now: what was popped counts.
    view.setUint16(this.#at(last) + idAt, id, little);
    view.setUint8(at, 1);
    view.setUint16(freeHeadAt, entry, little);
    view.setUint16(oldFreeHeadAt, entry, little);
    this.#entryOf[id] = head;
  }

  /** A chain was pushed; it ends with the batch. Its entries are not used again before. */
  push(id: number): void {
    this.#batch[this.#batchLength++] = this.#entryOf[id];
  }

  /** The batch is about to be made visible; `used` is where the next used descriptor goes then. */
  prepare(used: number): void {
    const view = this.#view;
    let free = view.getUint16(freeHeadAt, little);
    for (let index = 0; index < this.#batchLength; index++) {
      const entry = this.#batch[index];
      const last = view.getUint16(this.#at(entry) + lastAt, little) % this.#size;
      view.setUint16(this.#at(last) + nextAt, free, little);
      free = entry;
    }
    view.setUint16(freeHeadAt, free, little);
    view.setUint16(usedAt, used & ~wrapBit, little);
    view.setUint8(usedWrapAt, used >>> 15);
  }

  /** The batch is visible: what is in it is done. */
  commit(): void {
    const view = this.#view;
    for (let index = 0; index < this.#batchLength; index++) view.setUint8(this.#at(this.#batch[index]), 0);
    this.#batchLength = 0;
    this.#settle();
  }

  /** Nothing is in flight any more; the ring goes on at `used`. */
  clear(used: number): void {
    for (let entry = 0; entry < this.#size; entry++) this.#view.setUint8(this.#at(entry), 0);
    this.#linkFree(new Uint8Array(this.#size));
    this.#store(used);
  }

  #at(entry: number): number {
    return layout.headerSize + layout.entrySize * entry;
  }

  /**
   * Ends or takes back the batch that the last server was publishing, which is one while the two heads of the free list
   * differ. Its first used descriptor tells whether the driver saw it: the USED bit in that slot turned to that lap's value
   * with it, and stays so when the driver uses the slot again.
   */
  #endLastBatch(flagsOf: (slot: number) => number): number {
    const view = this.#view;
    const oldSlot = view.getUint16(oldUsedAt, little);
    const oldWrap = view.getUint8(oldUsedWrapAt) & 1;
    const slot = view.getUint16(usedAt, little) % this.#size;
    const wrap = view.getUint8(usedWrapAt) & 1;
    const end = view.getUint16(oldFreeHeadAt, little);
    let entry = view.getUint16(freeHeadAt, little);
    if (entry !== end) {
      const isVisible = ((flagsOf(oldSlot) & PackedFlag.Used) !== 0 ? 1 : 0) === oldWrap;
      if (!isVisible || (slot === oldSlot && wrap === oldWrap)) {
        // In this order, so that a server that ends here leaves it to be taken back again.
        view.setUint16(usedAt, oldSlot, little);
        view.setUint8(usedWrapAt, oldWrap);
        view.setUint16(freeHeadAt, end, little);
        return oldSlot | (oldWrap << 15);
      }
      for (let step = 0; step < this.#size && entry !== end && entry < this.#size; step++) {
        view.setUint8(this.#at(entry), 0);
        entry = view.getUint16(
          this.#at(view.getUint16(this.#at(entry) + lastAt, little) % this.#size) + nextAt,
          little,
        );
      }
    }
    this.#settle();
    return slot | (wrap << 15);
  }

  /** The descriptors of a chain, marked in `taken`; undefined when the record does not make sense. */
  #chainAt(first: number, taken: Uint8Array): PackedDescriptor[] | undefined {
    const view = this.#view;
    const count = view.getUint16(this.#at(first) + countAt, little);
    const chain: PackedDescriptor[] = [];
    const entries: number[] = [];
    for (let entry = first; chain.length < count; entry = view.getUint16(this.#at(entry) + nextAt, little)) {
      if (entry >= this.#size || taken[entry] === 1) {
        for (const other of entries) taken[other] = 0;
        return undefined;
      }
      taken[entry] = 1;
      entries.push(entry);
      const at = this.#at(entry);
      chain.push({
        address: Number(view.getBigUint64(at + addressAt, little)),
        length: view.getUint32(at + lengthAt, little),
        id: view.getUint16(at + idAt, little),
        flags: view.getUint16(at + flagsAt, little),
      });
    }
    return chain.length === 0 ? undefined : chain;
  }

  /** Makes a list of the entries that no chain has. */
  #linkFree(taken: Uint8Array): void {
    const view = this.#view;
    let free = noEntry;
    for (let entry = this.#size - 1; entry >= 0; entry--) {
      if (taken[entry] === 1) continue;
      view.setUint16(this.#at(entry) + nextAt, free, little);
      free = entry;
    }
    view.setUint16(freeHeadAt, free, little);
    view.setUint16(oldFreeHeadAt, free, little);
  }

  #store(used: number): void {
    this.#view.setUint16(usedAt, used & ~wrapBit, little);
    this.#view.setUint8(usedWrapAt, used >>> 15);
    this.#settle();
  }

  /** What is published is what stands. */
  #settle(): void {
    const view = this.#view;
    view.setUint16(oldFreeHeadAt, view.getUint16(freeHeadAt, little), little);
    view.setUint16(oldUsedAt, view.getUint16(usedAt, little), little);
    view.setUint8(oldUsedWrapAt, view.getUint8(usedWrapAt));
  }
}

/** Where the next available descriptor is, behind what is served again. */
export function placeBehind({ used, chains }: PackedLeftovers, queueSize: number): number {
  return movePlace(
    used,
    chains.reduce((sum, chain) => sum + chain.length, 0),
    queueSize,
  );
}
