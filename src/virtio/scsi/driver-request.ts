/** One command of the driver half, reusable: the hot path's way to send commands without allocating. */
import { ProtocolError } from "../../errors/index.js";
import type { DmaBlock } from "../../memory/index.js";
import { type UnitAddress, writeVirtioLun } from "../../scsi/index.js";
import { RingRequest } from "../driver-base/index.js";
import { requestHeader, responseHeader, ScsiResponse } from "./protocol.js";

/** What all requests of one driver share. */
export interface ScsiRequestFormat {
  readonly cdbSize: number;
  readonly senseSize: number;
  readonly isLittleEndian: boolean;
  /** Number of the next command: no two that the device has carry the same. */
  nextTag: number;
}

/** A command with its buffers and its answer. Its slot holds header and CDB, then the response header and sense. */
export class ScsiRequest extends RingRequest {
  /** Unit address: target and LUN as one number. */
  address = -1;
  /** It counts among the commands that its unit has. */
  isCounted = false;
  /** The CDB, as long as the device's cdb_size, in memory that the device reads. Zero what is not used. */
  readonly cdb: Uint8Array;

  // The answer, valid when `outcome` is `done`.
  response = 0;
  status = 0;
  residual = 0;
  senseLength = 0;
  /** Sense data where the device put it, valid until the request is used again. */
  readonly sense: Uint8Array;

  readonly headerLength: number;
  readonly responseLength: number;
  /** Byte offset of the response in the slot's region. */
  readonly responseOffset: number;
  readonly #format: ScsiRequestFormat;
  #hasResponse = false;

  constructor(slot: DmaBlock, format: ScsiRequestFormat) {
    super(slot);
    this.#format = format;
    this.headerLength = requestHeader.size + format.cdbSize;
    this.responseLength = responseHeader.size + format.senseSize;
    const { region, offset } = slot;
    this.responseOffset = offset + alignUp(this.headerLength);
    this.cdb = region.bytes.subarray(offset + requestHeader.size, offset + this.headerLength);
    const sense = this.responseOffset + responseHeader.size;
    this.sense = region.bytes.subarray(sense, sense + format.senseSize);
    this.clearData();
  }

  /** Bytes of DMA memory that a request needs. */
  static slotSize({ cdbSize, senseSize }: ScsiRequestFormat): number {
    return alignUp(requestHeader.size + cdbSize) + alignUp(responseHeader.size + senseSize);
  }

  /** Points the request at a unit. */
  pointAt(address: UnitAddress): void {
    if (this.address === address) return;
    const { region, offset } = this.slot;
    writeVirtioLun(region.bytes, offset + requestHeader.offset.lun, address);
    this.address = address;
  }

  /** The tag that the request carries, as the device reads it. */
  get tag(): bigint {
    const { region, offset } = this.slot;
    return region.view.getBigUint64(offset + requestHeader.offset.id, this.#format.isLittleEndian);
  }

  clearData(): void {
    this.pieces.clear();
    this.pieces.addReadable(this.slot.address, this.headerLength);
    this.#hasResponse = false;
  }

  addOut(address: number, length: number): void {
    this.pieces.addReadable(address, length);
  }

  /** The response lies before the data that the device writes. */
  addIn(address: number, length: number): void {
    if (!this.#hasResponse) this.#addResponse();
    this.pieces.addWritable(address, length);
  }

  /** Completes the chain and numbers the command. */
  seal(): void {
    if (!this.#hasResponse) this.#addResponse();
    const { slot } = this;
    const { view } = slot.region;
    const format = this.#format;
    // The tag is the device's to compare, not to compute with: its byte order does not matter.
    view.setUint32(slot.offset + requestHeader.offset.id, format.nextTag, true);
    format.nextTag = (format.nextTag + 1) >>> 0;
    view.setUint8(this.responseOffset + responseHeader.offset.response, ScsiResponse.Failure);
  }

  readAnswer(usedLength: number): void {
    if (usedLength < responseHeader.size) {
      this.outcome = "failed";
      this.error = new ProtocolError("response-short", { detail: `${usedLength} of ${responseHeader.size} bytes` });
      return;
    }
    const { view } = this.slot.region;
    const { offset } = responseHeader;
    const at = this.responseOffset;
    const little = this.#format.isLittleEndian;
    this.outcome = "done";
    this.senseLength = Math.min(view.getUint32(at + offset.senseLength, little), this.sense.length);
    this.residual = view.getUint32(at + offset.residual, little);
    this.status = view.getUint8(at + offset.status);
    this.response = view.getUint8(at + offset.response);
  }

  #addResponse(): void {
    this.pieces.addWritable(this.slot.address + this.responseOffset - this.slot.offset, this.responseLength);
    this.#hasResponse = true;
  }
}

function alignUp(size: number): number {
  return Math.ceil(size / 16) * 16;
}
