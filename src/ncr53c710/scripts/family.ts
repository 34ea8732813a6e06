/** What differs between members of the family, as far as SCRIPTS are concerned. Data, not scattered conditions. */
import { Reg } from "../registers.js";

/** The chips that sources can name with `ARCH`. */
export const chipNames = ["700", "710", "720", "770", "810", "825"] as const;

/** A member of the family. */
export type ChipName = (typeof chipNames)[number];

/** One member: what its SCRIPTS can say and how ids are written. */
export interface ChipTraits {
  readonly name: ChipName;
  /** Whether SELECT takes a bit for each id (`0x40` is id 6) or the id itself. */
  readonly ids: "one-hot" | "binary";
  /** Largest value of SELECT's id field. */
  readonly maximumId: number;
  readonly tableIndirect: boolean;
  readonly memoryMove: boolean;
  readonly registerMove: boolean;
  readonly interruptOnTheFly: boolean;
  readonly loadStore: boolean;
  /** Byte registers by name, in upper case. */
  readonly registers: ReadonlyMap<string, number>;
}

/** Widths in bytes of the 53C710's registers that have more than one. */
const wide710: Readonly<Record<string, number>> = {
  DSA: 4,
  TEMP: 4,
  DBC: 3,
  DNAD: 4,
  DSP: 4,
  DSPS: 4,
  SCRATCH: 4,
  ADDER: 4,
};

/** The newer chips' registers: name, number, bytes. */
const registers8xx: readonly (readonly [name: string, number: number, bytes?: number])[] = [
  ["SCNTL0", 0x00],
  ["SCNTL1", 0x01],
  ["SCNTL2", 0x02],
  ["SCNTL3", 0x03],
  ["SCID", 0x04],
  ["SXFER", 0x05],
  ["SDID", 0x06],
  ["GPREG", 0x07],
  ["SFBR", 0x08],
  ["SOCL", 0x09],
  ["SSID", 0x0a],
  ["SBCL", 0x0b],
  ["DSTAT", 0x0c],
  ["SSTAT0", 0x0d],
  ["SSTAT1", 0x0e],
  ["SSTAT2", 0x0f],
  ["DSA", 0x10, 4],
  ["ISTAT", 0x14],
  ["CTEST0", 0x18],
  ["CTEST1", 0x19],
  ["CTEST2", 0x1a],
  ["CTEST3", 0x1b],
  ["TEMP", 0x1c, 4],
  ["DFIFO", 0x20],
  ["CTEST4", 0x21],
  ["CTEST5", 0x22],
  ["CTEST6", 0x23],
  ["DBC", 0x24, 3],
  ["DCMD", 0x27],
  ["DNAD", 0x28, 4],
  ["DSP", 0x2c, 4],
  ["DSPS", 0x30, 4],
  ["SCRATCHA", 0x34, 4],
  ["DMODE", 0x38],
  ["DIEN", 0x39],
  ["SBR", 0x3a],
  ["DWT", 0x3a],
  ["DCNTL", 0x3b],
  ["ADDER", 0x3c, 4],
  ["SIEN0", 0x40],
  ["SIEN1", 0x41],
  ["SIST0", 0x42],
  ["SIST1", 0x43],
  ["SLPAR", 0x44],
  ["SWIDE", 0x45],
  ["MACNTL", 0x46],
  ["GPCNTL", 0x47],
  ["STIME0", 0x48],
  ["STIME1", 0x49],
  ["RESPID", 0x4a, 2],
  ["STEST0", 0x4c],
  ["STEST1", 0x4d],
  ["STEST2", 0x4e],
  ["STEST3", 0x4f],
  ["SIDL", 0x50],
  ["SODL", 0x54],
  ["SBDL", 0x58],
  ["SCRATCHB", 0x5c, 4],
];

/** Scratch registers that the 720, 770 and 825 have beyond B. */
const moreScratch = "CDEFGHIJ";

function byteNames(list: readonly (readonly [name: string, number: number, bytes?: number])[]): Map<string, number> {
  const names = new Map<string, number>();
  for (const [name, number, bytes = 1] of list) {
    if (bytes === 1) names.set(name, number);
    else for (let index = 0; index < bytes; index++) names.set(`${name}${index}`, number + index);
  }
  return names;
}

const names710 = byteNames(Object.entries(Reg).map(([name, number]) => [name, number, wide710[name] ?? 1]));
// Linux calls LCRC by its test register's number.
names710.set("CTEST9", Reg.LCRC);
const names810 = byteNames(registers8xx);
const names8xx = byteNames([
  ...registers8xx,
  ...[...moreScratch].map((letter, index) => [`SCRATCH${letter}`, 0x60 + 4 * index, 4] as const),
]);

const older = {
  ids: "one-hot",
  maximumId: 0xff,
  interruptOnTheFly: false,
  loadStore: false,
  registers: names710,
} as const;
const newer = {
  ids: "binary",
  tableIndirect: true,
  memoryMove: true,
  registerMove: true,
  interruptOnTheFly: true,
} as const;

/** The members by name. */
export const chips: Readonly<Record<ChipName, ChipTraits>> = {
  "700": { name: "700", ...older, tableIndirect: false, memoryMove: false, registerMove: false },
  "710": { name: "710", ...older, tableIndirect: true, memoryMove: true, registerMove: true },
  "720": { name: "720", ...newer, maximumId: 15, loadStore: false, registers: names8xx },
  "770": { name: "770", ...newer, maximumId: 15, loadStore: false, registers: names8xx },
  "810": { name: "810", ...newer, maximumId: 7, loadStore: true, registers: names810 },
  "825": { name: "825", ...newer, maximumId: 15, loadStore: true, registers: names8xx },
};

/** The name of a byte register, or undefined when the chip has none of that number. */
export function registerNameOf(chip: ChipTraits, number: number): string | undefined {
  for (const [name, value] of chip.registers) if (value === number) return name;
  return undefined;
}
