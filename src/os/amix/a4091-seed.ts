/**
 * The A4091's queue function as the seed has it: the chip is reset and set up for every command, started, and asked once
 * how it went. What is wrong with that is kept: one look at ISTAT, buffers that all commands and cards share, short
 * transfers that fail, no look at the direction, no LUNs, no sense, no time-out, no interrupt.
 */
import type { RegisterWindow } from "../../bytes/index.js";
import type { DmaBlock, DmaMemory, GuestMemory } from "../../memory/index.js";
import { Dstat, hostOffset, Istat, Reg, Sstat0 } from "../../ncr53c710/index.js";
import type { Observer } from "../../observe/index.js";
import { a4091Fallback, BoardMapper } from "./a4091-mapping.js";
import { ScriptVector, seedScript, seedScriptLength, tableLayout } from "./a4091-script.js";
import type { Autocon } from "./autocon.js";
import type { KernelSpace } from "./kernel-space.js";
import { cdbLengthOf, noStatus, type SdCom } from "./sdcom.js";

/** The product that the driver asks `autocon` for, whichever row of the table called it. */
export const a4091Product = 0x0202_0054;

/** How a command ended, as the driver counts. */
export const SeedResult = {
  Done: 0,
  /** Nobody answered the selection. */
  Absent: -1,
  /** Nothing had happened yet when the driver looked. */
  NotYet: -2,
  /** Anything else. */
  Failed: -3,
} as const;

/** Writes go to the registers' second image, past the processor's cache. */
const writeImage = 0x40;
const hostId = 7;
const identify = 0x80;
/** `sdcom`'s CDB is copied whole. */
const stagedCdb = 12;
const messageBytes = 8;

/** Offsets of the static buffers from the start of their block. */
const place = { script: 0, table: 0x100, identify: 0x160, cdb: 0x164, status: 0x170, messages: 0x174 } as const;
const staticBytes = 0x200;

/** What the driver is given of the kernel. */
export interface SeedParts {
  readonly space: KernelSpace;
  readonly autocon: Autocon;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly observer?: Observer | undefined;
}

/** The driver. */
export class SeedA4091 {
  readonly #parts: SeedParts;
  readonly #boards: BoardMapper;
  /** Script, table and small buffers: one set, as in the original. */
  readonly #block: DmaBlock;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;

  constructor(parts: SeedParts) {
    this.#parts = parts;
    this.#boards = new BoardMapper(parts.space);
    this.#block = parts.dma.allocate(staticBytes, 256);
    const { region, offset, address } = this.#block;
    this.#view = new DataView(region.bytes.buffer, region.bytes.byteOffset + offset, staticBytes);
    this.#bytes = region.bytes.subarray(offset, offset + staticBytes);
    this.#bytes.set(seedScript(address + place.script).subarray(0, seedScriptLength), place.script);
  }

  /** `a4091queue`. */
  readonly queue = (index: number, command: SdCom): boolean => {
    const board = this.#boards.map(index, () => {
      const found = this.#parts.autocon.find(a4091Product, index) ?? a4091Fallback;
      this.#tell("map", { index, base: found.base, size: found.size });
      return found.base;
    });
    if (board === undefined) {
      command.fail();
      return true;
    }
    const { registers } = board;
    initialise(registers);
    this.#stage(command);
    const { address } = this.#block;
    registers.write32(Reg.TEMP + writeImage, 0);
    registers.write8(hostOffset(Reg.SBCL) + writeImage, 0);
    registers.write32(Reg.DSA + writeImage, address + place.table);
    registers.write32(Reg.DSP + writeImage, address + place.script);
    const result = this.#look(registers);
    if (result === SeedResult.Done) command.end(this.#bytes[place.status]);
    else command.fail();
    return true;
  };

  /** Gives the memory back. */
  close(): void {
    this.#parts.dma.free(this.#block);
  }

  /** Fills the table and the buffers that it names. */
  #stage(command: SdCom): void {
    const { cdb, unit, nbyte, addr } = command;
    const bytes = this.#bytes;
    bytes[place.identify] = identify;
    for (let index = 0; index < stagedCdb; index++) bytes[place.cdb + index] = cdb[index];
    bytes[place.status] = noStatus;
    for (let index = 0; index < messageBytes; index++) bytes[place.messages + index] = 0xff;
    const view = this.#view;
    const { address } = this.#block;
    // The 68030 shifts everything out where JavaScript starts again at 0.
    view.setUint32(place.table + tableLayout.select, unit < 32 ? (0x1_0000 << unit) >>> 0 : 0);
    this.#entry(tableLayout.identify, 1, address + place.identify);
    this.#entry(tableLayout.command, cdbLengthOf(cdb[0]), address + place.cdb);
    this.#entry(tableLayout.status, 1, address + place.status);
    this.#entry(tableLayout.message, 1, address + place.messages);
    this.#entry(tableLayout.messageIn, 1, address + place.messages + 1);
    this.#entry(tableLayout.extendedMessage, 1, address + place.messages + 2);
    this.#entry(tableLayout.synchronousMessage, 1, address + place.messages + 3);
    this.#entry(tableLayout.data, nbyte, addr);
    this.#entry(tableLayout.dataEnd, 0, 0);
    this.#tell("command", { unit, operation: cdb[0], nbyte, addr });
  }

  #entry(offset: number, length: number, address: number): void {
    this.#view.setUint32(place.table + offset, length);
    this.#view.setUint32(place.table + offset + 4, address);
  }

  /** The one look. */
  #look(registers: RegisterWindow): number {
    const istat = registers.read8(hostOffset(Reg.ISTAT));
    const sstat0 = (istat & Istat.Sip) === 0 ? 0 : registers.read8(hostOffset(Reg.SSTAT0));
    const dstat = (istat & Istat.Dip) === 0 ? 0 : registers.read8(hostOffset(Reg.DSTAT));
    const dsps = registers.read32(Reg.DSPS);
    const result = judge(istat, sstat0, dstat, dsps);
    const status = this.#bytes[place.status];
    this.#tell("result", { rc: `${result}`, istat, sstat0, dstat, dsps, status });
    return result;
  }

  #tell(name: string, fields: Readonly<Record<string, number | string>>): void {
    this.#parts.observer?.emit({ category: "scsi", source: "A4:", name, fields });
  }
}

function judge(istat: number, sstat0: number, dstat: number, dsps: number): number {
  if ((istat & (Istat.Sip | Istat.Dip)) === 0) return SeedResult.NotYet;
  if ((sstat0 & Sstat0.Sto) !== 0) return SeedResult.Absent;
  return (dstat & Dstat.Sir) !== 0 && dsps === ScriptVector.Done ? SeedResult.Done : SeedResult.Failed;
}

/** Chip reset and set-up, before every command; no reset of the SCSI bus, no interrupts. */
function initialise(registers: RegisterWindow): void {
  const read = (register: number) => registers.read8(hostOffset(register));
  const write = (register: number, value: number) => registers.write8(hostOffset(register) + writeImage, value & 0xff);
  write(Reg.ISTAT, read(Reg.ISTAT) | Istat.Abrt);
  write(Reg.ISTAT, read(Reg.ISTAT) | Istat.Rst);
  write(Reg.ISTAT, read(Reg.ISTAT) & ~Istat.Rst);
  write(Reg.SIEN, 0);
  write(Reg.SCNTL0, 0xcc);
  write(Reg.SCNTL1, 0x20);
  write(Reg.DCNTL, 0);
  write(Reg.DMODE, 0xe0);
  write(Reg.SIEN, 0);
  write(Reg.DIEN, 0);
  write(Reg.SCID, 1 << hostId);
  write(Reg.DWT, 0);
  write(Reg.CTEST0, read(Reg.CTEST0) | 0x50);
  write(Reg.CTEST7, read(Reg.CTEST7) | 0x80);
  write(Reg.CTEST8, read(Reg.CTEST8) | 0x01);
  const istat = read(Reg.ISTAT);
  if ((istat & Istat.Sip) !== 0) read(Reg.SSTAT0);
  if ((istat & Istat.Dip) !== 0) read(Reg.DSTAT);
}
