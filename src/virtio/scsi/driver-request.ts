/** One command of the driver half, reusable: the hot path's way to send commands without allocating. */
import type { DmaBlock } from "../../memory/index.js";
import { ChainPieces } from "../../virtqueue/index.js";
import { requestHeader, responseHeader } from "./protocol.js";

/** How a request ended on this side. */
export type RequestOutcome = "idle" | "waiting" | "in-flight" | "done" | "failed";

/** A command with its buffers and its answer. */
export class ScsiRequest {
  /** Unit address: target and LUN as one number. */
  address = -1;
  /** The CDB, as long as the device's cdb_size, in memory that the device reads. Zero what is not used. */
  readonly cdb: Uint8Array;
  /** The whole chain: header, data for the device, response, data from the device. */
  readonly pieces = new ChainPieces();
  #hasResponse = false;
  outcome: RequestOutcome = "idle";
  /** Called once when the request ends; `outcome` is then `done` or `failed`. */
  onEnd: ((request: ScsiRequest) => void) | undefined;
  /** Why it failed, if it did. */
  error: Error | undefined;

  // The answer, valid when `outcome` is `done`.
  response = 0;
  status = 0;
  residual = 0;
  senseLength = 0;
  /** Sense data where the device put it, valid until the request is used again. */
  readonly sense: Uint8Array;

  /** The slot in DMA memory: request header and CDB, then response header and sense. */
  readonly slot: DmaBlock;
  readonly headerLength: number;
  readonly responseLength: number;
  /** Byte offset of the response in the slot's region. */
  readonly responseOffset: number;

  constructor(slot: DmaBlock, cdbSize: number, senseSize: number) {
    this.slot = slot;
    this.headerLength = requestHeader.size + cdbSize;
    this.responseLength = responseHeader.size + senseSize;
    const { region, offset } = slot;
    this.responseOffset = offset + alignUp(this.headerLength);
    this.cdb = region.bytes.subarray(offset + requestHeader.size, offset + this.headerLength);
    const sense = this.responseOffset + responseHeader.size;
    this.sense = region.bytes.subarray(sense, sense + senseSize);
    this.clearData();
  }

  /** Bytes of DMA memory that a request needs. */
  static slotSize(cdbSize: number, senseSize: number): number {
    return alignUp(requestHeader.size + cdbSize) + alignUp(responseHeader.size + senseSize);
  }

  /** Forgets the data pieces. */
  clearData(): void {
    this.pieces.clear();
    this.pieces.addReadable(this.slot.address, this.headerLength);
    this.#hasResponse = false;
  }

  /** Adds a piece that the device reads; before all pieces that it writes. */
  addOut(address: number, length: number): void {
    this.pieces.addReadable(address, length);
  }

  /** Adds a piece that the device writes. */
  addIn(address: number, length: number): void {
    this.seal();
    this.pieces.addWritable(address, length);
  }

  /** Puts the response behind the data for the device, if that was not done. Submitting does it. */
  seal(): void {
    if (this.#hasResponse) return;
    this.pieces.addWritable(this.slot.address + this.responseOffset - this.slot.offset, this.responseLength);
    this.#hasResponse = true;
  }
}

function alignUp(size: number): number {
  return Math.ceil(size / 16) * 16;
}
