/**
 * The moves of one command's data: a run of instructions of any length that the script enters through TEMP. Behind the
 * last move is a CALL, which leaves its own end in TEMP, and behind that an interrupt for a target that wants more. Where
 * a target stops in between, the move at hand is shortened to what is left of it.
 */
import type { DmaBlock } from "../../memory/index.js";
import { Vector } from "./script-source.js";

/** Move instructions of the two data phases, for an initiator, without their count. */
const moveOut = 0x0800_0000;
const moveIn = 0x0900_0000;
const callAbsolute = 0x8808_0000;
const interrupt = 0x9808_0000;
/** Bytes that one move takes at most, at a multiple of a page. */
const largestMove = 0xff_f000;
const instruction = 8;

export class DataChain {
  /** Bytes of all moves, and those that are not moved yet as far as is known. */
  total = 0;
  left = 0;
  isOut = false;
  readonly #moved: number;
  #block: DmaBlock;
  /** Offset of the first instruction in the block's region. */
  #offset: number;
  #capacity: number;
  #count = 0;
  readonly #addresses: number[] = [];
  readonly #lengths: number[] = [];
  /** The chain in memory is not what the pieces say. */
  #isStale = true;
  /** The move that comes next, and what is left of it. One past the last: all were moved. */
  #index = 0;
  #partial = 0;
  #savedIndex = 0;
  #savedPartial = 0;

  /**
   * @param block where the instructions are, from `offset` in its region on; room for `capacity` moves.
   * @param moved address of the script's label for chains that were moved to their end.
   */
  constructor(block: DmaBlock, offset: number, capacity: number, moved: number) {
    this.#block = block;
    this.#offset = offset;
    this.#capacity = capacity;
    this.#moved = moved;
  }

  /** Bytes of a chain of so many moves. */
  static size(moves: number): number {
    return (moves + 2) * instruction;
  }

  /** Number of moves. */
  get count(): number {
    return this.#count;
  }

  /** Moves that there is room for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Address of the first instruction. */
  get address(): number {
    return this.#offset - this.#block.offset + this.#block.address;
  }

  /** Where the script goes on with the data. */
  get next(): number {
    return this.address + this.#index * instruction;
  }

  /** Where it finds that there is no more. */
  get extra(): number {
    return this.address + (this.#count + 1) * instruction;
  }

  /** Takes the chain to a larger block. */
  moveTo(block: DmaBlock, capacity: number): void {
    this.#block = block;
    this.#offset = block.offset;
    this.#capacity = capacity;
    this.#isStale = true;
  }

  clear(): void {
    this.#count = 0;
    this.total = 0;
    this.#isStale = true;
  }

  /** Moves that a piece needs. */
  static movesOf(length: number): number {
    return Math.ceil(length / largestMove);
  }

  /** Adds a piece; there has to be room. */
  add(address: number, length: number, isOut: boolean): void {
    this.isOut = isOut;
    this.total += length;
    this.#isStale = true;
    for (let done = 0; done < length; done += largestMove) {
      this.#addresses[this.#count] = address + done;
      this.#lengths[this.#count] = Math.min(largestMove, length - done);
      this.#count++;
    }
  }

  /** Readies the chain for a command from its beginning. Returns whether instructions were written. */
  begin(): boolean {
    const wasStale = this.#isStale;
    if (wasStale) this.#write(0, this.#lengths[0]);
    this.#isStale = false;
    this.#index = 0;
    this.#partial = this.#lengths[0] ?? 0;
    this.#savedIndex = 0;
    this.#savedPartial = this.#partial;
    this.left = this.total;
    return wasStale;
  }

  /** Number of the move at an address, or -1 where there is none. */
  indexOf(address: number): number {
    const offset = address - this.address;
    const isMove = offset >= 0 && offset < this.#count * instruction && offset % instruction === 0;
    return isMove ? offset / instruction : -1;
  }

  /** Bytes that the move of this number was started with. */
  lengthOf(index: number): number {
    return index === this.#index ? this.#partial : this.#lengths[index];
  }

  /**
   * A move ended early: `remaining` bytes of it are left. The chain goes on with them.
   * @returns false when that cannot be.
   */
  stoppedAt(index: number, remaining: number): boolean {
    if (index < this.#index || remaining > this.lengthOf(index)) return false;
    this.#goTo(index, remaining);
    return true;
  }

  /** Takes TEMP as the script left it. @returns false when it is no place of the chain. */
  reached(temp: number): boolean {
    if (temp === this.next) return true;
    if (temp !== this.extra) return false;
    this.#index = this.#count + 1;
    this.#partial = 0;
    this.left = 0;
    return true;
  }

  /** SAVE DATA POINTERS. */
  save(): void {
    this.#savedIndex = this.#index;
    this.#savedPartial = this.#partial;
  }

  /** RESTORE POINTERS. */
  restore(): void {
    if (this.#savedIndex > this.#count) return;
    this.#write(this.#savedIndex, this.#savedPartial);
    this.#index = this.#savedIndex;
    this.#partial = this.#savedPartial;
    this.left = this.#leftFrom(this.#index, this.#partial);
    this.#isStale = true;
  }

  #goTo(index: number, remaining: number): void {
    // A move of 0 bytes is none: the one behind it is next.
    const isOver = remaining === 0;
    this.#index = isOver ? index + 1 : index;
    this.#partial = isOver ? (index + 1 < this.#count ? this.#lengths[index + 1] : 0) : remaining;
    this.left = this.#leftFrom(this.#index, this.#partial);
    if (isOver || remaining === this.#lengths[index]) return;
    this.#isStale = true;
    this.#writeMove(index, remaining);
  }

  #leftFrom(index: number, partial: number): number {
    let left = partial;
    for (let at = index + 1; at < this.#count; at++) left += this.#lengths[at];
    return left;
  }

  /** Writes the moves from `first` on, of which `partial` bytes are left in that one, and what is behind them. */
  #write(first: number, partial: number): void {
    const { view } = this.#block.region;
    for (let index = first; index < this.#count; index++) {
      this.#writeMove(index, index === first ? partial : this.#lengths[index]);
    }
    const end = this.#offset + this.#count * instruction;
    view.setUint32(end, callAbsolute);
    view.setUint32(end + 4, this.#moved);
    view.setUint32(end + 8, interrupt);
    view.setUint32(end + 12, Vector.Extra);
  }

  /** The last `remaining` bytes of a move. */
  #writeMove(index: number, remaining: number): void {
    const { view } = this.#block.region;
    const at = this.#offset + index * instruction;
    view.setUint32(at, (this.isOut ? moveOut : moveIn) | remaining);
    view.setUint32(at + 4, this.#addresses[index] + this.#lengths[index] - remaining);
  }
}
