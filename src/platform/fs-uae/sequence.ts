/**
 * Register and script sequences as data, which run on any 53C710: a list of steps, and what was seen at each. Addresses
 * are absolute, so two chips are comparable when their boards and memory are at the same places.
 */
import { hexBytes, type RegisterWindow, subWindow } from "../../bytes/index.js";
import type { GuestMemory } from "../../memory/index.js";
import { hostOffset, longRegisters, Reg, wordsToBytes } from "../../ncr53c710/index.js";
import type { FsUaeMachine } from "./machine.js";

/** A register's name in the chip's data sheet. */
export type RegisterName = keyof typeof Reg;

/** One step. Values of {@link RegisterName} are the register's own: 8, 24 (DBC) or 32 bits. */
export type SequenceStep =
  /** Bytes or longwords into memory. */
  | { readonly do: "upload"; readonly address: number; readonly bytes: Uint8Array }
  | { readonly do: "words"; readonly address: number; readonly words: Uint32Array }
  | { readonly do: "write"; readonly register: RegisterName; readonly value: number }
  /** Reads registers one after the other, in this order. */
  | { readonly do: "read"; readonly registers: readonly RegisterName[] }
  /** Reads a longword of the register file: offset 0Ch has DSTAT and the SSTATs. */
  | { readonly do: "read-long"; readonly offset: number }
  /** Starts a script: writes its address to DSP. */
  | { readonly do: "start"; readonly address: number }
  /** Until ISTAT has DIP or SIP; ISTAT is what is seen. */
  | { readonly do: "wait" }
  | { readonly do: "memory"; readonly address: number; readonly length: number };

/** What was seen: a number, or bytes as hexadecimal text. */
export interface Observation {
  /** Index of the step. */
  readonly step: number;
  /** Name of a register, `long 0C`, or `memory 00020000`. */
  readonly what: string;
  readonly value: number | string;
}

/** A chip with its memory, as a sequence uses it. */
export interface SequenceTarget {
  readonly name: string;
  /** The register file, offsets as a big-endian host sees them. */
  readonly registers: RegisterWindow;
  upload(address: number, bytes: Uint8Array): void;
  download(address: number, length: number): Uint8Array;
  /** @returns ISTAT, or undefined when nothing came in the time that the target allows. */
  waitForInterrupt(): number | undefined | Promise<number | undefined>;
}

/** The A4091 of an fs-uae, whose registers are at `chip`. Memory outside the mirror can be named too. */
export function fsUaeTarget(machine: FsUaeMachine, chip: number): SequenceTarget {
  const { monitor } = machine;
  return {
    name: `fs-uae ${machine.version}`,
    registers: subWindow(monitor.space, chip),
    upload: (address, bytes) => monitor.upload(address, bytes),
    download: (address, length) => {
      const bytes = new Uint8Array(length);
      monitor.download(address, bytes);
      return bytes;
    },
    waitForInterrupt: () => machine.waitForInterrupt(chip),
  };
}

/** A chip whose memory this process can reach. */
export function memoryTarget(
  name: string,
  registers: RegisterWindow,
  memory: GuestMemory,
  waitForInterrupt: SequenceTarget["waitForInterrupt"],
): SequenceTarget {
  return {
    name,
    registers,
    upload: (address, bytes) => memory.write(address, bytes),
    download: (address, length) => memory.read(address, length),
    waitForInterrupt,
  };
}

/** Reads one register by its name. */
export function readNamed(registers: RegisterWindow, name: RegisterName): number {
  if (name === "DBC") return registers.read32(Reg.DBC) & 0xff_ffff;
  return isLong(name) ? registers.read32(Reg[name]) : registers.read8(hostOffset(Reg[name]));
}

/** Writes one register by its name. DBC goes byte by byte, so that DCMD stays. */
export function writeNamed(registers: RegisterWindow, name: RegisterName, value: number): void {
  if (name === "DBC") {
    for (let byte = 0; byte < 3; byte++) registers.write8(hostOffset(Reg.DBC + byte), (value >>> (8 * byte)) & 0xff);
  } else if (isLong(name)) registers.write32(Reg[name], value >>> 0);
  else registers.write8(hostOffset(Reg[name]), value & 0xff);
}

/** Carries the steps out. */
export async function runSequence(steps: readonly SequenceStep[], target: SequenceTarget): Promise<Observation[]> {
  const seen: Observation[] = [];
  const { registers } = target;
  for (const [step, action] of steps.entries()) {
    const see = (what: string, value: number | string) => seen.push({ step, what, value });
    switch (action.do) {
      case "upload":
        target.upload(action.address, action.bytes);
        break;
      case "words":
        target.upload(action.address, wordsToBytes(action.words));
        break;
      case "write":
        writeNamed(registers, action.register, action.value);
        break;
      case "read":
        for (const name of action.registers) see(name, readNamed(registers, name));
        break;
      case "read-long":
        see(`long ${upper(action.offset, 2)}`, registers.read32(action.offset));
        break;
      case "start":
        registers.write32(Reg.DSP, action.address);
        break;
      case "wait": {
        const status = await target.waitForInterrupt();
        see("ISTAT", status ?? "no interrupt");
        break;
      }
      case "memory":
        see(`memory ${upper(action.address, 8)}`, hexBytes(target.download(action.address, action.length), ""));
        break;
    }
  }
  return seen;
}

function isLong(name: RegisterName): boolean {
  return (longRegisters as readonly string[]).includes(name);
}

function upper(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}
