/** A unit's memory path without a device: memory with guards, and a disk that moves what commands name. */
import { DmaAllocator, type DmaMemory, GuestDma, MemoryRegion } from "../../../memory/index.js";
import { GuardedMemory, PoisoningDma } from "../../../testing/index.js";
import { ScsiRequest } from "../../../virtio/index.js";
import type { CommandBehaviour } from "../commands/behaviour.js";
import type { UnitAccess } from "../device/unit.js";
import { ExecMemory, type PageOrder } from "../exec/index.js";
import { type AmigaProfile, amigaProfiles } from "../profile.js";
import { AmigaDataPath } from "./data-path.js";

/** What the rig is made of. */
export interface RigOptions {
  readonly profile?: AmigaProfile["name"];
  readonly change?: Partial<CommandBehaviour>;
  readonly order?: PageOrder;
  readonly blockSize?: number;
  readonly limits?: { readonly segments: number; readonly bytes: number };
  /** Copies and poisons what is lent. Default true. */
  readonly poison?: boolean;
  readonly slots?: number;
  /** Bytes. Default 8 MiB. */
  readonly ramSize?: number;
}

/** One command as the disk saw it. */
export interface SeenCommand {
  readonly opcode: number;
  readonly lba: number;
  readonly blocks: number;
  readonly pieces: number;
  readonly bytes: number;
}

const diskContent = Uint8Array.from({ length: 2 << 20 }, (_, index) => (index * 7 + (index >>> 9) * 13) & 0xff);

export class DmaRig {
  readonly guarded: GuardedMemory;
  readonly poisoning: PoisoningDma | undefined;
  readonly memory: ExecMemory;
  readonly unit: UnitAccess;
  readonly path: AmigaDataPath;
  readonly scsi: ScsiRequest;
  readonly disk: Uint8Array;
  readonly seen: SeenCommand[] = [];
  readonly #slotBlock;
  readonly #dma: DmaMemory;

  constructor(options: RigOptions = {}) {
    const { profile = "extended", change = {}, order = "scattered", blockSize = 512, poison = true } = options;
    const { ramSize = 8 << 20 } = options;
    this.guarded = new GuardedMemory([{ base: 0, size: ramSize }], (base, bytes) => new MemoryRegion(base, bytes));
    const { memory } = this.guarded;
    const below = new GuestDma(memory, new DmaAllocator(memory, 4096, ramSize - 4096));
    this.poisoning = poison ? new PoisoningDma(below) : undefined;
    this.#dma = this.poisoning ?? below;
    this.memory = new ExecMemory(memory, this.#dma, order);
    const named = amigaProfiles[profile];
    const used: AmigaProfile = { ...named, commands: { ...named.commands, ...change } };
    const limits = options.limits ?? { segments: 126, bytes: 0xffff * 512 };
    // What the memory path asks of a unit.
    const facts: Pick<UnitAccess, "profile" | "memory" | "blockSize" | "limits"> = {
      ...{ profile: used, memory: this.memory, blockSize, limits },
    };
    this.unit = facts as UnitAccess;
    this.path = new AmigaDataPath(this.unit, options.slots ?? 2);
    const format = { cdbSize: 32, senseSize: 96, isLittleEndian: false, nextTag: 1 };
    this.#slotBlock = this.#dma.allocate(ScsiRequest.slotSize(format));
    this.scsi = new ScsiRequest(this.#slotBlock, format);
    this.disk = diskContent.slice();
  }

  /** A whole read or write over slot 0. @returns io_Error and the bytes moved. */
  transfer(isWrite: boolean, offset: number, address: number, length: number): { error: number; moved: number } {
    const [slot] = this.path.slots;
    let error = slot.begin(this.unit, isWrite, offset, address, length);
    while (error === 0 && slot.hasMore) {
      error = slot.next(this.scsi);
      if (error === 0) slot.end(Math.min(this.carryOut(isWrite), slot.commandLength));
    }
    return { error, moved: slot.moved };
  }

  /** Does what the command says with the pieces that it names. @returns bytes moved. */
  carryOut(isWrite: boolean): number {
    const { cdb, pieces } = this.scsi;
    const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
    const isLong = cdb[0] >= 0x80;
    const lba = isLong ? Number(view.getBigUint64(2)) : view.getUint32(2);
    const blocks = isLong ? view.getUint32(10) : view.getUint16(7);
    const { blockSize } = this.unit;
    const first = isWrite ? 1 : pieces.readableCount + 1;
    const end = isWrite ? pieces.readableCount : pieces.count;
    let left = blocks * blockSize;
    let done = 0;
    let bytes = 0;
    for (let index = first; index < end; index++) bytes += pieces.lengths[index];
    for (let index = first; index < end && left > 0; index++) {
      const step = Math.min(left, pieces.lengths[index]);
      const at = (lba * blockSize + done) % this.disk.length;
      const address = pieces.addresses[index];
      if (isWrite) this.disk.set(this.guarded.memory.read(address, step), at);
      else this.guarded.memory.write(address, this.disk.slice(at, at + step));
      done += step;
      left -= step;
    }
    this.seen.push({ opcode: cdb[0], lba, blocks, pieces: Math.max(0, end - first), bytes });
    return done;
  }

  /** Takes everything down. @throws InternalError when something is still lent or was written that should not be. */
  close(): void {
    this.path.close(false);
    this.#dma.free(this.#slotBlock);
    this.guarded.check();
    this.poisoning?.assertNothingAllocated();
  }
}
