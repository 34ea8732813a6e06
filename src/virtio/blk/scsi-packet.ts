/**
 * SCSI packet commands of 0.9.5, device half: the CDB in a readable buffer of its own behind the header, data, then
 * sense data, four words and the status. A logical unit carries them out.
 */
import type { Endianness } from "../../bytes/index.js";
import type { ViolationCode } from "../../errors/index.js";
import { PageViews, Scatter } from "../../memory/index.js";
import { type LogicalUnit, maxCdbLength, type Nexus, ScsiTask } from "../../scsi/index.js";
import type { Chain } from "../../virtqueue/index.js";
import { scsiSenseLength, scsiTrailer } from "./protocol.js";

/** Writable bytes behind the data: sense, trailer, status. */
export const packetTailLength = scsiSenseLength + scsiTrailer.size + 1;

/** The state of one packet command; kept with its request. */
export class ScsiPacket {
  readonly task = new ScsiTask();
  readonly #dataIn = new Scatter();
  readonly #tail = new Uint8Array(packetTailLength - 1);
  readonly #tailView = new DataView(this.#tail.buffer);
  readonly #tailPages = new PageViews(this.#tail);
  #dataLength = 0;

  /**
   * Takes a request apart whose header was taken off. The command's length is that of the first readable buffer: framing
   * carries meaning here, and only here (0.9.5 appendix D).
   * @returns the rule that is broken when it is no packet command: no CDB or one too long, no room for the tail.
   */
  begin(chain: Chain, nexus: Nexus): ViolationCode | undefined {
    const { readable, writable } = chain;
    const { task } = this;
    const cdbLength = readable.byteLength === 0 ? 0 : readable.lengths[readable.first];
    if (cdbLength === 0 || cdbLength > maxCdbLength) return "request-data-length";
    if (writable.byteLength < packetTailLength) return "response-space-short";
    task.cdb.fill(0);
    readable.copyOut(task.cdb, 0, cdbLength);
    readable.dropFront(cdbLength);
    this.#dataIn.clear();
    writable.splitFront(writable.byteLength - packetTailLength, this.#dataIn);
    this.#dataLength = readable.byteLength + this.#dataIn.byteLength;
    task.begin(nexus, readable, this.#dataIn);
    return undefined;
  }

  /** Has the unit carry it out. False: the buffers are too small for what the CDB moves. */
  execute(unit: LogicalUnit): boolean | Promise<boolean> {
    const { task } = this;
    unit.prepare(task);
    if (task.expectedIn > task.dataIn.byteLength || task.expectedOut > task.dataOut.byteLength) return false;
    return unit.execute(task)?.then(() => true) ?? true;
  }

  /** Writes sense data and trailer. Returns the bytes that the device wrote, the status among them. */
  finish(chain: Chain, endianness: Endianness): number {
    const { task } = this;
    const senseLength = Math.min(task.senseLength, scsiSenseLength);
    this.#tail.fill(0);
    this.#tail.set(task.sense.subarray(0, senseLength));
    scsiTrailer.write(this.#tailView, scsiSenseLength, endianness, {
      errors: task.status,
      dataLength: this.#dataLength,
      senseLength,
      residual: this.#dataLength - task.transferredIn - task.transferredOut,
    });
    chain.writable.copyIn(this.#tailPages, 0, this.#tail.length);
    return this.#dataIn.byteLength + packetTailLength;
  }

  cancel(): void {
    this.#dataIn.clear();
  }
}
