/** One command of the driver half, reusable: the hot path's way to send commands without allocating. */
import type { DmaBlock } from "../../memory/index.js";
import { requestHeader, responseHeader } from "./protocol.js";

/** How a request ended on this side. */
export type RequestOutcome = "idle" | "waiting" | "in-flight" | "done" | "failed";

export class ScsiRequest {
  /** Unit address: target and LUN as one number. */
  address = -1;
  /** The CDB, as long as the device's cdb_size, in memory that the device reads. Zero what is not used. */
  readonly cdb: Uint8Array;
  /** Data pieces: first `outPieces` that the device reads, then those it writes. */
  readonly pieceAddresses: number[] = [];
  readonly pieceLengths: number[] = [];
  outPieces = 0;
  pieces = 0;
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
  }

  /** Bytes of DMA memory that a request needs. */
  static slotSize(cdbSize: number, senseSize: number): number {
    return alignUp(requestHeader.size + cdbSize) + alignUp(responseHeader.size + senseSize);
  }

  /** Forgets the data pieces. */
  clearData(): void {
    this.pieces = 0;
    this.outPieces = 0;
  }

  /** Adds a piece that the device reads; before all pieces that it writes. */
  addOut(address: number, length: number): void {
    if (this.pieces !== this.outPieces) throw new RangeError("data to the device comes before data from it");
    this.outPieces++;
    this.#add(address, length);
  }

  /** Adds a piece that the device writes. */
  addIn(address: number, length: number): void {
    this.#add(address, length);
  }

  #add(address: number, length: number): void {
    this.pieceAddresses[this.pieces] = address;
    this.pieceLengths[this.pieces] = length;
    this.pieces++;
  }
}

function alignUp(size: number): number {
  return Math.ceil(size / 16) * 16;
}
