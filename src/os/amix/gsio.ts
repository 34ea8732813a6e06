/** The program that sends SCSI commands from user space (`gsio`): what a person at the machine has to look at a disk. */
import { type InquiryData, parseCapacity10, parseInquiry, ScsiStatus } from "../../scsi/index.js";
import { Errno } from "./errno.js";
import { gsioCommand, type PassThrough, type UserMemory } from "./gsioctl.js";
import { noStatus, sdcomLayout } from "./sdcom.js";

/** How a command ended. */
export interface GsioResult {
  /** Of the `ioctl` itself. */
  readonly errno: number;
  readonly okay: boolean;
  readonly status: number;
  /** What came from the unit, or what was sent. */
  readonly data: Uint8Array;
}

/** A program's memory: one piece at an address. */
export class ProgramMemory implements UserMemory {
  readonly base: number;
  readonly bytes: Uint8Array;

  constructor(length: number, base = 0x8000_0000) {
    this.base = base;
    this.bytes = new Uint8Array(length);
  }

  copyIn(address: number, length: number): Uint8Array | undefined {
    return this.#has(address, length)
      ? this.bytes.subarray(address - this.base, address - this.base + length)
      : undefined;
  }

  copyOut(address: number, bytes: Uint8Array): boolean {
    if (!this.#has(address, bytes.length)) return false;
    this.bytes.set(bytes, address - this.base);
    return true;
  }

  #has(address: number, length: number): boolean {
    return address >= this.base && address + length <= this.base + this.bytes.length;
  }
}

const standardInquiry = 36;
const capacityLength = 8;
/** A unit has a few unit attentions at most. */
const attempts = 8;

/** Sends one command; `data` is room for what comes, or what is sent. */
export async function gsio(
  device: PassThrough,
  place: { readonly card: number; readonly unit: number },
  cdb: Uint8Array,
  data: Uint8Array,
  reading = true,
): Promise<GsioResult> {
  const memory = new ProgramMemory(sdcomLayout.size + data.length);
  const addr = memory.base + sdcomLayout.size;
  memory.copyOut(addr, data);
  const view = new DataView(memory.bytes.buffer);
  const fields = { reading: reading ? 1 : 0, okay: 0, status: noStatus, cdb, addr, nbyte: data.length, ...place };
  sdcomLayout.write(view, 0, "big", fields);
  const errno = await device.ioctl(gsioCommand, memory, memory.base);
  const { okay, status } = sdcomLayout.read(view, 0, "big");
  return { errno, okay: okay !== 0, status, data: memory.bytes.slice(sdcomLayout.size) };
}

/** INQUIRY; undefined when no unit answers. */
export async function gsioInquiry(
  device: PassThrough,
  place: { readonly card: number; readonly unit: number },
): Promise<InquiryData | undefined> {
  const cdb = Uint8Array.of(0x12, 0, 0, 0, standardInquiry, 0);
  const { errno, okay, status, data } = await gsio(device, place, cdb, new Uint8Array(standardInquiry));
  return errno === Errno.None && okay && status === ScsiStatus.Good ? parseInquiry(data) : undefined;
}

/** READ CAPACITY(10), again while the unit has something else to say first; undefined when it does not answer. */
export async function gsioCapacity(
  device: PassThrough,
  place: { readonly card: number; readonly unit: number },
): Promise<{ readonly blocks: number; readonly blockSize: number } | undefined> {
  const cdb = Uint8Array.of(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { errno, okay, status, data } = await gsio(device, place, cdb, new Uint8Array(capacityLength));
    if (errno !== Errno.None || !okay) return undefined;
    if (status !== ScsiStatus.Good) continue;
    const capacity = parseCapacity10(data);
    // 2 TiB and more: what the commands of this stack reach.
    return capacity && { blocks: capacity.blocks ?? 0xffff_ffff, blockSize: capacity.blockSize };
  }
  return undefined;
}
