/**
 * The miniport's memory of one request, made once with its SRB: header, status byte and scatter/gather table. The driver
 * never allocates on the way of a request.
 */
import { type Endianness, struct, u8, u32, u64 } from "../../bytes/index.js";
import type { DmaBlock } from "../../memory/index.js";
import { blkIdLength, blkRange } from "../../virtio/index.js";
import { ChainPieces } from "../../virtqueue/index.js";

/** The request header `virtio_blk_outhdr`: `ioprio` is always 0. */
export const blkOuthdr = struct({ type: u32, ioprio: u32, sector: u64 });

/** Ranges that a DISCARD or WRITE_ZEROES request here has at most. */
export const mostRanges = 16;

/** What of a request the device reads and writes (`virtio_blk_req`): header, status, answer of GET_ID, ranges. */
export const blkReqMemory = struct({ outHdr: field(blkOuthdr.size), status: u8, id: field(blkIdLength) });

const rangesAt = 64;
const word = 0x1_0000_0000;
/** The status byte before the device wrote it. */
export const noStatus = 0xff;

function field(size: number) {
  return { size, read: () => undefined, write: () => {} };
}

/** What a request goes through before its SRB ends. */
export type RequestStage = "only" | "write-then-flush" | "flush-after-write" | "identify" | "same";

/** `RHEL_SRB_EXTENSION`: the request (`vbr`), and how many of its elements the device reads and writes. */
export class SrbExtension {
  /** Bytes of DMA memory. */
  static readonly size = rangesAt + mostRanges * blkRange.size;

  /** `vbr.sg`: header, data and status as they go on the ring. */
  readonly sg = new ChainPieces();
  readonly block: DmaBlock;
  stage: RequestStage = "only";
  /** Queue that has or had the request. */
  queue = 0;
  /** Token of the request where it is no property of the ring (defect 8). */
  id = 0;
  /** FUA was asked for and has to be carried out by a flush. */
  fua = false;
  /** The write's own answer, while the flush behind it runs. */
  firstStatus = 0;
  /** WRITE SAME: next sector, and sectors that are left. */
  nextSector = 0;
  sectorsLeft = 0;
  readonly #little: boolean;

  constructor(block: DmaBlock, endianness: Endianness) {
    this.block = block;
    this.#little = endianness === "little";
  }

  /** Elements that the device reads. */
  get out(): number {
    return this.sg.readableCount;
  }

  /** Elements that the device writes. */
  get in(): number {
    return this.sg.count - this.sg.readableCount;
  }

  /** Starts a request: header, no data. */
  begin(type: number, sector: number): void {
    const { view, bytes } = this.block.region;
    const at = this.block.offset;
    const little = this.#little;
    const low = sector >>> 0;
    const high = low === sector ? 0 : (sector - low) / word;
    view.setUint32(at + blkOuthdr.offset.type, type, little);
    view.setUint32(at + blkOuthdr.offset.ioprio, 0, little);
    view.setUint32(at + blkOuthdr.offset.sector, little ? low : high, little);
    view.setUint32(at + blkOuthdr.offset.sector + 4, little ? high : low, little);
    bytes[at + blkReqMemory.offset.status] = noStatus;
    this.sg.clear();
    this.sg.addReadable(this.block.address, blkOuthdr.size);
  }

  /** Completes a request: the status byte comes last. */
  end(): void {
    this.sg.addWritable(this.block.address + blkReqMemory.offset.status, 1);
  }

  /** The data of GET_ID. */
  addIdBuffer(): void {
    this.block.region.bytes.fill(0, this.idAt, this.idAt + blkIdLength);
    this.sg.addWritable(this.block.address + blkReqMemory.offset.id, blkIdLength);
  }

  /** Puts the ranges of a DISCARD or WRITE_ZEROES request into the extension's memory. */
  addRanges(encoded: Uint8Array): void {
    this.block.region.bytes.set(encoded, this.block.offset + rangesAt);
    this.sg.addReadable(this.block.address + rangesAt, encoded.length);
  }

  /** The device's answer; {@link noStatus} when it wrote none. */
  get status(): number {
    return this.block.region.bytes[this.block.offset + blkReqMemory.offset.status];
  }

  /** The answer of GET_ID as text, up to the first zero. */
  readId(): string {
    let text = "";
    for (let index = 0; index < blkIdLength; index++) {
      const code = this.block.region.bytes[this.idAt + index];
      if (code === 0) break;
      text += code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : "?";
    }
    return text.trim();
  }

  private get idAt(): number {
    return this.block.offset + blkReqMemory.offset.id;
  }
}
