/**
 * Registers of the Marvell MV64361 that a processor needs to reach its two PCI units. All are 32 bits and
 * little-endian. A window's base and size count in 64 KiB; a set bit of `baseAddressEnable` turns a window *off*.
 */
export const mv64361Registers = {
  cpuConfiguration: 0x000,
  internalSpaceBase: 0x068,
  baseAddressEnable: 0x278,
  /** Levels of the general-purpose pins. */
  pinValue: 0xf104,
} as const;

/** On the Pegasos II the four PCI interrupt lines are the pins from this one on. */
export const mv64361FirstInterruptPin = 12;

/** Bytes of the register file. */
export const mv64361RegisterSize = 0x1_0000;

/** `cpuConfiguration`: writing a base leaves the remap register alone. */
export const mv64361KeepRemap = 0x0800_0000;

/** In base registers: no byte swapping on this window. */
export const mv64361NoSwap = 0x0100_0000;

/** The registers of one processor-to-PCI window. */
export interface Mv64361Window {
  readonly unit: 0 | 1;
  readonly space: "io" | "memory";
  /** Bit of `baseAddressEnable`. */
  readonly enableBit: number;
  readonly base: number;
  readonly size: number;
  readonly remap: number;
  readonly remapHigh?: number;
  /** Base and size registers after power-on, as the Pegasos II shows them. */
  readonly resetBase: number;
  readonly resetSize: number;
  /** Remap register after power-on, in 64 KiB. */
  readonly resetRemap: number;
}

const io = (unit: 0 | 1, enableBit: number, base: number, remap: number, resetBase: number): Mv64361Window => ({
  ...{ unit, space: "io", enableBit, base, size: base + 8, remap },
  ...{ resetBase, resetSize: 0xff, resetRemap: 0 },
});

const memory = (
  unit: 0 | 1,
  enableBit: number,
  base: number,
  remap: readonly [low: number, high: number],
  reset: readonly [base: number, size: number, remap: number],
): Mv64361Window => ({
  ...{ unit, space: "memory", enableBit, base, size: base + 8, remap: remap[0], remapHigh: remap[1] },
  ...{ resetBase: reset[0], resetSize: reset[1], resetRemap: reset[2] },
});

/** All ten, in the order of their enable bits. */
export const mv64361Windows: readonly Mv64361Window[] = [
  io(0, 9, 0x048, 0x0f0, 0x100f800),
  memory(0, 10, 0x058, [0x0f8, 0x320], [0x100c000, 0x1fff, 0xc000]),
  memory(0, 11, 0x080, [0x100, 0x328], [0x100f900, 0xff, 0]),
  memory(0, 12, 0x258, [0x2f8, 0x330], [0x100f400, 0x1ff, 0xf400]),
  memory(0, 13, 0x280, [0x300, 0x338], [0x100f600, 0x1ff, 0xf600]),
  io(1, 14, 0x090, 0x108, 0x100fe00),
  memory(1, 15, 0x0a0, [0x110, 0x340], [0x1008000, 0x3fff, 0x8000]),
  memory(1, 16, 0x0b0, [0x118, 0x348], [0x100fd00, 0xff, 0]),
  memory(1, 17, 0x2a0, [0x310, 0x350], [0x1002600, 0x1ff, 0x2600]),
  memory(1, 18, 0x2b0, [0x318, 0x358], [0x100ff80, 0x7f, 0xff80]),
];

/** `baseAddressEnable` after power-on: only the second unit's I/O window and the registers themselves are on. */
export const mv64361ResetEnable = 0x0fbfff;

/** `cpuConfiguration` after power-on. */
export const mv64361ResetConfiguration = 0x0280_00ff;

/** Where the configuration registers of each unit are. */
export const mv64361ConfigRegisters = [
  { address: 0xcf8, data: 0xcfc },
  { address: 0xc78, data: 0xc7c },
] as const;
