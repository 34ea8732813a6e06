/** What the records of requests in flight of both ring formats have in common (vhost-user, "Inflight I/O tracking"). */
import { hostEndianness } from "../../bytes/index.js";

// Records are in the byte order of the host that both sides run on. A constant of the file that uses it costs nothing,
// an imported one is looked up each time: so each file has its own.
const little = hostEndianness === "little";
const word32Range = 0x1_0000_0000;
const largestNumber = 2n ** 52n;
const version = 1;
/** Regions of queues start at multiples of this. */
const regionAlignment = 64;

const versionAt = 8;
const sizeAt = 10;
/** Where an entry has its number. */
const counterAt = 8;

/** How a format lays a queue's region out, in bytes: a header, then an entry for each descriptor. */
export interface RecordLayout {
  readonly headerSize: number;
  readonly entrySize: number;
}

/** Bytes of one queue's region. */
export function recordRegionSize({ headerSize, entrySize }: RecordLayout, queueSize: number): number {
  return Math.ceil((headerSize + entrySize * queueSize) / regionAlignment) * regionAlignment;
}

/** Whether an earlier server has kept a record for such a queue here. */
export function isRecord(view: DataView, queueSize: number): boolean {
  return view.getUint16(versionAt, little) === version && view.getUint16(sizeAt, little) === queueSize;
}

/** Empties a region. */
export function clearRecord(view: DataView, { headerSize, entrySize }: RecordLayout, queueSize: number): void {
  new Uint8Array(view.buffer, view.byteOffset, headerSize + entrySize * queueSize).fill(0);
}

/** Says that there is a record: the last thing that is written of a fresh one. */
export function sealRecord(view: DataView, queueSize: number): void {
  view.setUint16(sizeAt, queueSize, little);
  view.setUint16(versionAt, version, little);
}

/** The order in which requests were popped: each entry has a number. */
export class PopOrder {
  private _next = 1;

  /** Gives the entry that starts at byte `at` the next number. */
  stamp(view: DataView, at: number): void {
    const number = this._next++;
    const low = number >>> 0;
    const first = at + counterAt;
    view.setUint32(little ? first : first + 4, low, little);
    view.setUint32(little ? first + 4 : first, (number - low) / word32Range, little);
  }

  /** Puts what was found in order, and goes on behind it. @param placeOf the byte at which an entry starts. */
  resume<Found>(view: DataView, found: Found[], placeOf: (one: Found) => number): void {
    const numberOf = (one: Found) => view.getBigUint64(placeOf(one) + counterAt, little);
    const numbered = found.map((one) => ({ one, number: numberOf(one) }));
    numbered.sort((a, b) => (a.number < b.number ? -1 : a.number > b.number ? 1 : 0));
    for (const [index, { one }] of numbered.entries()) found[index] = one;
    const highest = numbered.at(-1)?.number ?? 0n;
    // A number past 2^53 was not written by us; numbers then start again.
    this._next = highest < largestNumber ? Number(highest) + 1 : 1;
  }
}
