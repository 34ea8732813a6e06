/**
 * One of a unit's slots: a read or write on its way. It checks, chooses the CDB, cuts what is too long into several
 * commands, and lends the memory of each; how it does each of these is the profile's to say. Nothing is allocated for a
 * transfer where devices reach the programs' memory directly.
 */
import { cdb as cdbs } from "../../../scsi/index.js";
import type { ScsiRequest } from "../../../virtio/index.js";
import type { CommandBehaviour } from "../commands/behaviour.js";
import type { SlotTransfer } from "../device/slot-transfer.js";
import type { UnitAccess } from "../device/unit.js";
import { IoError } from "../exec/index.js";
import { BounceBuffer } from "./bounce-buffer.js";
import { DmaList } from "./dma-list.js";
import { DmaFlag, type DmaMapper } from "./dma-mapper.js";

/** Entries of the original's scatter list, request and response among them. */
const scatterEntries = 64;
/** Largest block address and count of the 10-byte commands. */
const shortAddress = 0xffff_ffff;
const shortCount = 0xffff;
/** Blocks of one command at most, as READ(16) counts. */
const longCount = 0xffff_ffff;

/** What holds the data of the current command. */
const Holder = { Nothing: 0, Bounce: 1, Mapping: 2 } as const;

export class TransferSlot implements SlotTransfer {
  readonly list: DmaList;
  commandLength = 0;
  moved = 0;
  hasMore = false;
  readonly #unit: UnitAccess;
  readonly #mapper: DmaMapper;
  readonly #behaviour: CommandBehaviour;
  #bounce: BounceBuffer | undefined;
  #isWrite = false;
  #offset = 0;
  #address = 0;
  #length = 0;
  #holder: number = Holder.Nothing;

  constructor(unit: UnitAccess, mapper: DmaMapper) {
    this.#unit = unit;
    this.#mapper = mapper;
    this.#behaviour = unit.profile.commands;
    this.list = new DmaList(this.#behaviour.mostSegments);
  }

  /** Makes the slot's own buffer. @throws RangeError when memory is short. */
  prepare(): void {
    this.#bounce ??= new BounceBuffer(this.#mapper.memory, this.#behaviour.bounceBytes);
  }

  begin(unit: UnitAccess, isWrite: boolean, offset: number, address: number, length: number): number {
    const { blockSize } = unit;
    this.moved = 0;
    this.hasMore = false;
    // No disk has such an address, and no CDB room for it.
    if (!(offset >= 0 && offset + length <= Number.MAX_SAFE_INTEGER)) return IoError.BadAddress;
    if (this.#behaviour.transferCheck === "before") {
      if (length === 0 || length % blockSize !== 0 || offset % blockSize !== 0) return IoError.BadLength;
      if (address === 0) return IoError.BadAddress;
    }
    if (address !== 0 && length > 0 && !this.#mapper.memory.isMapped(address, length)) return IoError.BadAddress;
    this.#isWrite = isWrite;
    this.#offset = offset;
    this.#address = address;
    this.#length = length;
    this.hasMore = true;
    return 0;
  }

  next(scsi: ScsiRequest): number {
    this.hasMore = false;
    const left = this.#length - this.moved;
    const length = this.#behaviour.splitting === "none" ? left : this.#fitting(left);
    if (length < 0) return IoError.Dma;
    this.commandLength = length;
    this.#writeCdb(scsi, length);
    scsi.clearData();
    return this.#addData(scsi, this.#address + this.moved, length);
  }

  end(moved: number): void {
    const holder = this.#holder;
    this.#holder = Holder.Nothing;
    const address = this.#address + this.moved;
    if (holder === Holder.Bounce && !this.#isWrite && moved > 0) this.#bounce?.copyOut(address, moved);
    else if (holder === Holder.Mapping) this.#mapper.endDma(address, this.commandLength);
    this.moved += moved;
    const isWhole = moved === this.commandLength && moved > 0;
    this.hasMore = isWhole && this.#behaviour.splitting === "by-limits" && this.moved < this.#length;
  }

  /** Gives the slot's memory back. */
  close(): void {
    this.#bounce?.free();
    this.#bounce = undefined;
  }

  /** Bytes of the next command when `left` are to be moved: whole blocks. Negative when not even one can be. */
  #fitting(left: number): number {
    const { blockSize, limits } = this.#unit;
    const { bounceBytes } = this.#behaviour;
    const most = Math.max(blockSize, wholeBlocks(Math.min(left, limits.bytes, longCount * blockSize), blockSize));
    if (left <= bounceBytes && left <= most) return left;
    const segments = Math.min(limits.segments, this.list.capacity);
    const reach = wholeBlocks(this.#mapper.reach(this.#address + this.moved, most, segments), blockSize);
    if (reach > 0) return reach;
    // A block in more pieces than a command may have: it goes through the buffer.
    const bounced = wholeBlocks(Math.min(bounceBytes, most), blockSize);
    return bounced > 0 ? bounced : -1;
  }

  #writeCdb(scsi: ScsiRequest, length: number): void {
    const { blockSize } = this.#unit;
    const lba = Math.floor((this.#offset + this.moved) / blockSize);
    const wanted = Math.floor(length / blockSize);
    // Part of a block counts as one.
    const blocks = wanted === 0 ? 1 : wanted;
    const isWrapped = this.#behaviour.cdbChoice === "address" && lba <= shortAddress;
    scsi.cdb.fill(0);
    cdbs.encodeTransfer(scsi.cdb, this.#isWrite ? "write" : "read", lba, isWrapped ? blocks & shortCount : blocks);
  }

  #addData(scsi: ScsiRequest, address: number, length: number): number {
    if (this.#address === 0 || length === 0) return 0;
    const { list } = this;
    const { bounceBytes } = this.#behaviour;
    const bounces =
      length <= bounceBytes && (this.#length - this.moved <= bounceBytes || !this.#reaches(address, length));
    if (bounces) {
      this.prepare();
      const bounce = this.#bounce as BounceBuffer;
      if (this.#isWrite) {
        bounce.copyIn(address, length);
        scsi.addOut(bounce.address, length);
      } else scsi.addIn(bounce.address, length);
      this.#holder = Holder.Bounce;
      return 0;
    }
    if (!this.#mapper.startDma(address, length, this.#isWrite ? DmaFlag.ReadFromRam : 0, list)) {
      if (this.#behaviour.scatterBounds === "unchecked") {
        list.overrun += Math.max(0, this.#mapper.pieces(address, length) - scatterEntries);
      }
      return IoError.Dma;
    }
    addPieces(scsi, list, this.#isWrite);
    this.#holder = Holder.Mapping;
    return 0;
  }

  #reaches(address: number, length: number): boolean {
    const segments = Math.min(this.#unit.limits.segments, this.list.capacity);
    return this.#mapper.reach(address, length, segments) === length;
  }
}

/** Adds a list's pieces to a command. */
export function addPieces(scsi: ScsiRequest, list: DmaList, isWrite: boolean): void {
  for (let index = 0; index < list.count; index++) {
    if (isWrite) scsi.addOut(list.addresses[index], list.lengths[index]);
    else scsi.addIn(list.addresses[index], list.lengths[index]);
  }
}

function wholeBlocks(length: number, blockSize: number): number {
  return length - (length % blockSize);
}
