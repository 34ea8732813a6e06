/** Finds A4091s by Zorro AUTOCONFIG, and checks one as a4091.device does before it is used. */
import type { RegisterWindow } from "../../bytes/index.js";
import { UnsupportedError } from "../../errors/index.js";
import { configureZorro, type FoundBoard } from "../../zorro/index.js";
import { a4091Layout } from "../a4091/board.js";
import { hostOffset, Reg } from "../registers.js";
import { AdapterFault } from "./faults.js";
import type { AdapterPlatform } from "./options.js";

/** AUTOCONFIG identities of the board: Commodore West Chester, and the number that Linux lists for early ones. */
export const a4091Boards = { product: 0x54, manufacturers: [0x0202, 0x0201] } as const;

/** An A4091 that has its address. */
export interface FoundA4091 {
  readonly board: FoundBoard;
  readonly base: number;
  /** Its DIP switches: a bit is 1 while its switch is off ({@link DipSwitch}). */
  readonly dip: number;
}

/**
 * Gives every Zorro III board of a machine its address, as the system's start does, and returns all of them. Boards that
 * have theirs already do not answer any more, so this is done once for a machine.
 * @throws UnsupportedError on a machine without Zorro III.
 */
export function configureBoards({ memorySpace, board }: AdapterPlatform): FoundBoard[] {
  if (board.zorro === undefined) throw new UnsupportedError(`${board.name} has no Zorro III bus`);
  const found: FoundBoard[] = [];
  let firstBase = board.zorro.firstBase;
  for (const area of board.zorro.configAreas) {
    for (const one of configureZorro(memorySpace, { area, firstBase })) {
      found.push(one);
      if (one.base !== undefined) firstBase = one.base + one.size;
    }
  }
  return found;
}

/** The A4091s among boards that have an address. */
export function findA4091s(platform: AdapterPlatform, boards = configureBoards(platform)): FoundA4091[] {
  return boards.flatMap((board) => {
    const { base, product, manufacturer } = board;
    const isOurs = product === a4091Boards.product && manufacturers.includes(manufacturer);
    if (!isOurs || base === undefined) return [];
    return [{ board, base, dip: platform.memorySpace.read8(base + a4091Layout.dip) }];
  });
}

const manufacturers: readonly number[] = a4091Boards.manufacturers;
const walkingPattern = 0xf0e7_c3a5;

/**
 * Walks a pattern through SCRATCH, and its neighbour through TEMP, 32 times rotated: the board is there, all data lines
 * are, and bytes lie where a big-endian host expects them.
 * @throws AdapterFault `board-broken`
 */
export function validateBoard(chip: RegisterWindow): void {
  for (let turn = 0; turn < 32; turn++) {
    const scratch = rotate(walkingPattern, turn);
    const temp = rotate(walkingPattern, (turn + 1) & 31);
    chip.write32(Reg.SCRATCH, scratch);
    chip.write32(Reg.TEMP, temp);
    expectValue(chip.read32(Reg.SCRATCH), scratch, "SCRATCH");
    expectValue(chip.read32(Reg.TEMP), temp, "TEMP");
    expectValue(chip.read8(hostOffset(Reg.SCRATCH)), scratch & 0xff, "SCRATCH0");
    expectValue(chip.read8(hostOffset(Reg.TEMP + 3)), temp >>> 24, "TEMP3");
  }
}

function expectValue(found: number, expected: number, name: string): void {
  if (found >>> 0 === expected) return;
  const hex = (value: number) => `0x${(value >>> 0).toString(16)}`;
  throw new AdapterFault("board-broken", `${name} holds ${hex(found)} after ${hex(expected)} was written`);
}

function rotate(value: number, by: number): number {
  return ((value << by) | (value >>> ((32 - by) & 31))) >>> 0;
}
