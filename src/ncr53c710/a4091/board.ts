/**
 * Commodore's A4091: a 53C710 with a ROM, DIP switches and a quick-interrupt vector on Zorro III. Of the address, A23
 * and A19–A17 are decoded; the chip's 64 bytes repeat, which is all there is to the "write shadow" at +0x40.
 */
import { type AccessWidth, windowOf } from "../../bytes/index.js";
import type { GuestMemory } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import type { ZorroBoard, ZorroBus, ZorroIdentity, ZorroSlot } from "../../zorro/index.js";
import { Ncr53c710 } from "../chip/chip.js";
import { HostBus } from "../chip/host-bus.js";
import type { ChipOptions } from "../chip/options.js";
import type { ScsiWire } from "../chip/scsi-wire.js";
import { A4091Rom, generateRom } from "./rom.js";

/** Where things are from the board's base. */
export const a4091Layout = {
  rom: 0,
  chip: 0x80_0000,
  quickVector: 0x88_0003,
  dip: 0x8c_0003,
  size: 0x100_0000,
} as const;

/** DIP switches: a bit is 1 while its switch is off. */
export const DipSwitch = {
  HostId: 0x07,
  FastBus: 0x08,
  ShortSpinUp: 0x10,
  Synchronous: 0x20,
  ExternalTermination: 0x40,
  /** 1: one LUN; 0: eight. */
  OneLun: 0x80,
} as const;

/** How a board is made; every field has a default. */
export interface A4091Options {
  /** A ROM image. Default: one with a valid identity and no boot code. */
  readonly rom?: Uint8Array;
  /** DIP switches. Default FFh: id 7, fast, synchronous, one LUN. */
  readonly dip?: number;
  /**
   * What a host's read of one byte of the chip does. Open: bridges to Zorro III read whole longwords, which would take
   * the neighbours' side effects along. Default "alone": drivers read DSTAT and SSTAT0 as bytes, and lose no cause.
   */
  readonly byteReads?: "alone" | "longword";
  readonly chip?: ChipOptions;
  readonly observer?: Observer | undefined;
}

/** What the board is connected to. */
export interface A4091Connections {
  readonly memory: GuestMemory;
  readonly zorro: ZorroBus;
  readonly wire: ScsiWire;
}

/** The board: plug it into a {@link ZorroBus}, and targets into its wire. */
export class A4091Board implements ZorroBoard {
  readonly name = "a4091";
  readonly size = a4091Layout.size;
  readonly chip: Ncr53c710;
  readonly rom: A4091Rom;
  /** The switches; may be changed as by hand. */
  dip: number;
  readonly #readsLongwords: boolean;
  #quickVector: number | undefined;
  #slot: ZorroSlot | undefined;
  readonly window = windowOf(
    (offset, width) => this.#read(offset, width),
    (offset, width, value) => this.#write(offset, width, value),
  );

  /** @throws RomError, RangeError */
  constructor({ memory, zorro, wire }: A4091Connections, options: A4091Options = {}) {
    this.rom = new A4091Rom(options.rom ?? generateRom());
    this.dip = options.dip ?? 0xff;
    this.#readsLongwords = options.byteReads === "longword";
    const { observer } = options;
    this.chip = new Ncr53c710(new HostBus(memory, (address) => zorro.find(address)), wire, {
      observer,
      ...options.chip,
    });
    this.chip.onInterrupt((level) => this.#slot?.interrupt("INT2", level));
  }

  get identity(): ZorroIdentity {
    return this.rom.identity;
  }

  /** The vector that quick-interrupt cycles are answered with; undefined until one was written. */
  get quickVector(): number | undefined {
    return this.#quickVector;
  }

  /** A quick-interrupt cycle: the vector, when this board asks for it. */
  acknowledgeQuickInterrupt(): number | undefined {
    return this.chip.interruptLevel ? this.#quickVector : undefined;
  }

  plugged(slot: ZorroSlot): void {
    this.#slot = slot;
  }

  readConfig(offset: number): number {
    return byteOf(this.rom.long(offset), offset);
  }

  reset(): void {
    this.#quickVector = undefined;
    this.chip.powerOn();
  }

  close(): void {
    this.chip.close();
  }

  #read(offset: number, width: AccessWidth): number {
    if (width === 4 && offset % 4 === 0) return this.#readLong(offset);
    if (width === 2 && this.#isChip(offset) && !this.#readsLongwords) return this.chip.window.read16(offset);
    let value = 0;
    for (let byte = 0; byte < width; byte++) value = value * 256 + this.#readByte(offset + byte);
    return value;
  }

  #readLong(offset: number): number {
    if (this.#isChip(offset)) return this.chip.window.read32(offset);
    if ((offset & 0x80_0000) === 0) return this.rom.long(offset);
    return (0xffff_ff00 | (this.#isDip(offset) ? this.dip : (this.#quickVector ?? 0xff))) >>> 0;
  }

  #readByte(offset: number): number {
    if (this.#isChip(offset) && !this.#readsLongwords) return this.chip.window.read8(offset);
    return byteOf(this.#readLong(offset & ~3), offset);
  }

  #write(offset: number, width: AccessWidth, value: number): void {
    if (this.#isChip(offset)) {
      if (width === 1) this.chip.window.write8(offset, value);
      else if (width === 2) this.chip.window.write16(offset, value);
      else this.chip.window.write32(offset, value);
      return;
    }
    // Neither ROM nor switches take anything.
    if ((offset & 0x80_0000) === 0 || this.#isDip(offset)) return;
    // The vector is on the lowest lane.
    const lane = 3 - (offset & 3);
    if (lane < width) this.#quickVector = (value >>> (8 * (width - 1 - lane))) & 0xff;
  }

  #isChip(offset: number): boolean {
    return (offset & 0x88_0000) === 0x80_0000;
  }

  #isDip(offset: number): boolean {
    return (offset & 0x8c_0000) === 0x8c_0000;
  }
}

function byteOf(long: number, offset: number): number {
  return (long >>> (24 - 8 * (offset & 3))) & 0xff;
}
