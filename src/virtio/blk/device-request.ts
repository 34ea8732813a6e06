import type { MemoryRegion } from "../../memory/index.js";
import { RunningRequest } from "../device-base/index.js";
import { barrierFlag, blkHeader } from "./protocol.js";
import type { ScsiPacket } from "./scsi-packet.js";

/** 2^32, to put the halves of a sector together. */
const word = 0x1_0000_0000;

/** A request of the device half: the private copy of its header and the place of its status byte. */
export class BlkDeviceRequest extends RunningRequest {
  readonly header = new Uint8Array(blkHeader.size);
  readonly headerView = new DataView(this.header.buffer);
  /** Request type without the barrier flag. */
  type = 0;
  /** The barrier flag was set. */
  hasBarrier = false;
  /** First sector. Above 2^53 it is not exact, but still past every capacity. */
  sector = 0;
  /** Bytes that the device wrote, the status among them; for the used ring. */
  written = 0;
  /** Made when the first SCSI packet command comes over this chain. */
  packet: ScsiPacket | undefined;
  #statusRegion!: MemoryRegion;
  #statusOffset = 0;

  /** Finds the status byte: the last writable one, whatever descriptor it shares. The writable part is not empty. */
  findStatus(): void {
    const { writable } = this.chain;
    const last = writable.end - 1;
    const region = writable.regions[last];
    if (this.#statusRegion !== region) this.#statusRegion = region;
    this.#statusOffset = writable.offsets[last] + writable.lengths[last] - 1;
  }

  /** Copies the header out, parses the copy and takes it off the readable part, which has at least 16 bytes. */
  takeHeader(little: boolean, hasBarriers: boolean): void {
    const { readable } = this.chain;
    const view = this.headerView;
    readable.copyHeader(view, this.header, blkHeader.size);
    readable.dropFront(blkHeader.size);
    const type = view.getUint32(0, little);
    this.hasBarrier = hasBarriers && type >= barrierFlag;
    this.type = this.hasBarrier ? type - barrierFlag : type;
    this.sector = view.getUint32(little ? 12 : 8, little) * word + view.getUint32(little ? 8 : 12, little);
  }

  /** Bytes that the device may write besides the status. */
  get roomIn(): number {
    return this.chain.writable.byteLength - 1;
  }

  writeStatus(status: number): void {
    this.#statusRegion.bytes[this.#statusOffset] = status;
  }

  override cancel(): void {
    super.cancel();
    this.packet?.cancel();
  }
}
