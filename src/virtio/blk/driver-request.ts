/** One request of the driver half, reusable: the hot path's way to send requests without allocating. */
import { ProtocolError } from "../../errors/index.js";
import type { DmaBlock } from "../../memory/index.js";
import { RingRequest } from "../driver-base/index.js";
import { blkHeader } from "./protocol.js";

const word = 0x1_0000_0000;
/** No device answers so: the status byte before the device wrote it. */
const noStatus = 0xff;

/** A request with its data and its status. Its slot holds the header and, behind it, the status byte. */
export class BlkRequest extends RingRequest {
  /** Bytes of DMA memory that a request needs. */
  static readonly slotSize = blkHeader.size + 1;

  /** The answer, valid when `outcome` is `done`. */
  status = 0;
  /** Bytes that the device says it wrote, the status among them; older devices put other values there. */
  usedLength = 0;
  readonly #little: boolean;
  #isSealed = false;

  constructor(slot: DmaBlock, isLittleEndian: boolean) {
    super(slot);
    this.#little = isLittleEndian;
    this.clearData();
  }

  /** Says what to do and where: a request type and, for transfers, the first sector (a safe integer). */
  setHeader(type: number, sector: number): void {
    const { view } = this.slot.region;
    const at = this.slot.offset;
    const little = this.#little;
    const low = sector >>> 0;
    const high = low === sector ? 0 : (sector - low) / word;
    view.setUint32(at, type, little);
    view.setUint32(at + 4, 0, little);
    view.setUint32(at + 8, little ? low : high, little);
    view.setUint32(at + 12, little ? high : low, little);
  }

  /** Points at another sector. */
  setSector(sector: number): void {
    const { view } = this.slot.region;
    const at = this.slot.offset;
    const low = sector >>> 0;
    const high = low === sector ? 0 : (sector - low) / word;
    view.setUint32(at + 8, this.#little ? low : high, this.#little);
    view.setUint32(at + 12, this.#little ? high : low, this.#little);
  }

  clearData(): void {
    this.pieces.clear();
    this.pieces.addReadable(this.slot.address, blkHeader.size);
    this.#isSealed = false;
  }

  addOut(address: number, length: number): void {
    this.pieces.addReadable(address, length);
  }

  /** @throws RangeError after the request was sealed: the status comes last. */
  addIn(address: number, length: number): void {
    if (this.#isSealed) throw new RangeError("the request is complete: its status byte is its last piece");
    this.pieces.addWritable(address, length);
  }

  seal(): void {
    const { slot } = this;
    slot.region.bytes[slot.offset + blkHeader.size] = noStatus;
    if (this.#isSealed) return;
    this.pieces.addWritable(slot.address + blkHeader.size, 1);
    this.#isSealed = true;
  }

  readAnswer(usedLength: number): void {
    const { slot } = this;
    this.usedLength = usedLength;
    this.status = slot.region.bytes[slot.offset + blkHeader.size];
    if (this.status === noStatus) {
      this.outcome = "failed";
      this.error = new ProtocolError("response-short", { detail: "the status byte was not written" });
    } else this.outcome = "done";
  }
}
