/**
 * `dd`: disks as block devices. A request is one READ(10) or WRITE(10); after a bad status the sense is fetched and
 * printed, and the request is tried once more.
 */
import { blockBytes, type DmaBlock, type DmaMemory } from "../../memory/index.js";
import { ScsiStatus } from "../../scsi/index.js";
import { type Buf, type CommandState, DdUnit, ddSenseLength } from "./dd-unit.js";
import { Errno } from "./errno.js";
import { type AmixSlice, amixLimits, sliceName } from "./numbering.js";
import type { AmixProfile } from "./profile.js";
import type { SdRegistry } from "./sd.js";
import { amixBlock, findSlice, type SlicePlace } from "./sdpart.js";

/** Blocks of a slice that nobody opened, and of slice 0. */
export const wholeDiskBlocks = 1_234_567;
/** READ(10) says a block in 32 bits and a count in 16. */
const largestBlock = 0xffff_ffff;
const largestCount = 0xffff;

/** `ioctl` commands of a disk. */
export const DdIoctl = {
  /** `DIOC`: whether it is one of these disks. */
  IsDisk: 0x4449_4f43,
  /** `DCHW`: the name of its controller. */
  ControllerName: 0x4443_4857,
} as const;

/** What the driver is given of the kernel. */
export interface DdParts {
  readonly sd: SdRegistry;
  readonly dma: DmaMemory;
  readonly profile: AmixProfile;
  /** The console. */
  readonly print: (line: string) => void;
  /** Blocks of a disk, as it says; undefined when it does not answer. Asked in the extended profile. */
  readonly capacity: (card: number, unit: number) => Promise<number | undefined>;
}

/** The driver. */
export class DiskDriver {
  readonly #parts: DdParts;
  readonly #units = new Map<number, DdUnit>();
  /** Places of slices, by minor. */
  readonly #slices = new Map<number, SlicePlace>();
  readonly #sense: DmaBlock;
  #depth = 0;
  #deepest = 0;

  constructor(parts: DdParts) {
    this.#parts = parts;
    const { cards, units } = amixLimits;
    this.#sense = parts.dma.allocate(ddSenseLength * cards * units, 16);
  }

  /** How many starts were nested in each other at most: 1 when ends never start requests from within. */
  get deepestNesting(): number {
    return this.#deepest;
  }

  /** Opens a slice: 0, ENXIO without card, label or slice, EIO when the label cannot be read. */
  async open(place: AmixSlice): Promise<number> {
    const { card, unit, slice } = place;
    const failure = this.#parts.sd.open(card);
    if (failure !== Errno.None) return failure;
    if (slice === 0) return this.#openWholeDisk(place);
    const whole = { card, unit, slice: 0 };
    const error = await this.#openWholeDisk(whole);
    if (error !== Errno.None) return error;
    const found = await findSlice((block) => this.#readBlock(whole, block), slice);
    if (found === "unreadable") return Errno.Io;
    if (found === "no-slice") return Errno.NoDevice;
    this.#slices.set(keyOf(place), found);
    return Errno.None;
  }

  /** Where a slice is, as far as the driver knows. */
  placeOf(slice: AmixSlice): SlicePlace | undefined {
    const known = this.#slices.get(keyOf(slice));
    if (known !== undefined) return known;
    return this.#parts.profile.unopenedSlice === "whole-disk" ? { start: 0, blocks: wholeDiskBlocks } : undefined;
  }

  /** `ioctl`: an errno, and the text for {@link DdIoctl.ControllerName}. */
  ioctl({ card }: AmixSlice, command: number): { readonly errno: number; readonly text?: string } {
    if (command === DdIoctl.IsDisk) return { errno: Errno.None };
    if (command !== DdIoctl.ControllerName) return { errno: Errno.Invalid };
    const text = this.#parts.sd.hardwareName(card);
    return text === undefined ? { errno: Errno.NoDevice } : { errno: Errno.None, text };
  }

  /** Queues a request; `done` is called at its end, maybe at once. */
  strategy(buf: Buf): void {
    const place = this.placeOf(buf);
    if (place === undefined || this.#isOdd(buf, place) || !isWithin(buf, place)) {
      buf.error = true;
      buf.resid = buf.bcount;
      buf.done(buf);
      return;
    }
    const unit = this.#unit(buf.card, buf.unit);
    unit.queue.push(buf);
    if (this.#parts.profile.completion === "drain") this.#drain(unit);
    else if (unit.queue.length === 1) this.#start(unit, "first");
  }

  /** A request as a promise; false when it failed. */
  transfer(request: Omit<Buf, "error" | "resid" | "done">): Promise<boolean> {
    return new Promise((resolve) => {
      this.strategy({ ...request, error: false, resid: 0, done: ({ error }) => resolve(!error) });
    });
  }

  /** Gives the memory back. */
  close(): void {
    this.#parts.dma.free(this.#sense);
  }

  #unit(card: number, unit: number): DdUnit {
    const key = card * amixLimits.units + unit;
    let found = this.#units.get(key);
    if (found === undefined) {
      found = new DdUnit(card, unit, () => this.#interrupt(found as DdUnit));
      this.#units.set(key, found);
    }
    return found;
  }

  async #openWholeDisk(slice: AmixSlice): Promise<number> {
    if (this.#parts.profile.wholeDisk === "constant") {
      this.#slices.set(keyOf(slice), { start: 0, blocks: wholeDiskBlocks });
      return Errno.None;
    }
    const blocks = await this.#parts.capacity(slice.card, slice.unit);
    if (blocks === undefined) return Errno.Io;
    this.#slices.set(keyOf(slice), { start: 0, blocks });
    return Errno.None;
  }

  async #readBlock(whole: AmixSlice, block: number): Promise<Uint8Array | undefined> {
    const { dma } = this.#parts;
    const buffer = dma.allocate(amixBlock, amixBlock);
    try {
      const request = { ...whole, write: false, block, bcount: amixBlock, addr: buffer.address };
      return (await this.transfer(request)) ? blockBytes(buffer).slice() : undefined;
    } finally {
      dma.free(buffer);
    }
  }

  #isOdd({ bcount, block }: Buf, { start }: SlicePlace): boolean {
    if (this.#parts.profile.oddTransfer === "cut") return false;
    return bcount % amixBlock !== 0 || bcount / amixBlock > largestCount || start + block > largestBlock;
  }

  /** Starts requests as long as the unit has none, however fast they end. */
  #drain(unit: DdUnit): void {
    if (unit.isDraining) return;
    unit.isDraining = true;
    while (!unit.isBusy && unit.queue.length > 0) this.#start(unit, "first");
    unit.isDraining = false;
  }

  #start(unit: DdUnit, state: CommandState): void {
    const buf = unit.queue[0];
    if (buf === undefined) return;
    unit.isBusy = true;
    unit.state = state;
    if (state === "sense") unit.buildSense(this.#senseAddress(unit));
    else unit.buildTransfer(buf, (this.placeOf(buf)?.start ?? 0) + buf.block);
    this.#deepest = Math.max(this.#deepest, ++this.#depth);
    try {
      this.#parts.sd.queue(unit.command);
    } finally {
      this.#depth--;
    }
  }

  /** A command ended. */
  #interrupt(unit: DdUnit): void {
    const { command, state } = unit;
    const { okay, status } = command;
    const isGood = okay && status === ScsiStatus.Good;
    if (state === "first" && okay && !isGood) {
      // An adapter that fetches sense by itself has it already.
      if (command.senseLength > 0) this.#retry(unit, command.sense);
      else this.#start(unit, "sense");
    } else if (state === "sense" && isGood) this.#retry(unit, this.#senseBytes(unit));
    else this.#finish(unit, isGood);
  }

  #retry(unit: DdUnit, sense: Uint8Array): void {
    const [buf] = unit.queue;
    if (buf !== undefined) {
      buf.senseKey = sense[2] & 0x0f;
      const controller = this.#parts.sd.hardwareName(unit.card) ?? "sd";
      const asc = sense[12].toString(16);
      this.#parts.print(
        `${controller}: disk ${sliceName(buf)}: blk${buf.block} 0x${buf.senseKey.toString(16)} 0x${asc}`,
      );
    }
    this.#start(unit, "retry");
  }

  #finish(unit: DdUnit, isGood: boolean): void {
    const buf = unit.queue.shift();
    unit.isBusy = false;
    if (buf !== undefined) {
      buf.error = !isGood;
      buf.resid = isGood ? 0 : buf.bcount;
    }
    if (this.#parts.profile.completion === "drain") {
      this.#drain(unit);
      buf?.done(buf);
      return;
    }
    // The stock order. What `done` queues is started, and then started again.
    buf?.done(buf);
    this.#start(unit, "first");
  }

  #senseAddress({ card, unit }: DdUnit): number {
    return this.#sense.address + (card * amixLimits.units + unit) * ddSenseLength;
  }

  #senseBytes({ card, unit }: DdUnit): Uint8Array {
    const at = (card * amixLimits.units + unit) * ddSenseLength;
    return blockBytes(this.#sense).subarray(at, at + ddSenseLength);
  }
}

function isWithin({ block, bcount }: Buf, { blocks }: SlicePlace): boolean {
  return block >= 0 && block + Math.ceil(bcount / amixBlock) <= blocks;
}

function keyOf({ card, unit, slice }: AmixSlice): number {
  return (card * amixLimits.units + unit) * amixLimits.slices + slice;
}
