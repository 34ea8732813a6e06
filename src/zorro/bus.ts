/**
 * A Zorro III bus: boards in a chain, of which the first without an address answers in the configuration area; after
 * that each answers at its base. Any access of any width is safe: where nobody answers, reads give ones.
 */
import { type AccessWidth, type RegisterWindow, readRegister, windowOf, writeRegister } from "../bytes/index.js";
import type { Observer } from "../observe/index.js";
import { ConfigRegister, partnerOffset } from "./identity.js";

/** Interrupt lines of the bus. */
export type ZorroInterrupt = "INT2" | "INT6";

/** What a board gets from the bus it is plugged into. */
export interface ZorroSlot {
  /** Sets or releases the board's pull on a line; the line is asserted while any board pulls. */
  interrupt(line: ZorroInterrupt, level: boolean): void;
}

/** A board. */
export interface ZorroBoard {
  readonly name: string;
  /** Bytes of its window, a power of two of at least 64 KiB. */
  readonly size: number;
  /** The board at its base, once it has one. */
  readonly window: RegisterWindow;
  /** A byte of the configuration area (bits 31:24 at offsets that are multiples of 4), while it has no base. */
  readConfig(offset: number): number;
  plugged(slot: ZorroSlot): void;
  /** The bus was reset: no base, nothing pending. */
  reset(): void;
}

/** A board that has its base. */
export interface ConfiguredBoard {
  readonly board: ZorroBoard;
  readonly base: number;
  readonly size: number;
  readonly window: RegisterWindow;
}

/** The configuration areas: of Zorro III, and the Zorro II window that older systems use for both. */
export const zorroConfigArea = { zorro3: 0xff00_0000, zorro2: 0x00e8_0000, size: 0x1_0000 } as const;
/** Where Zorro III boards may be. */
export const zorroSpace = { start: 0x1000_0000, end: 0xf000_0000 } as const;

interface Place {
  readonly board: ZorroBoard;
  readonly pulls: Record<ZorroInterrupt, boolean>;
  configured: ConfiguredBoard | undefined;
  isShutUp: boolean;
}

/** A bus with its slots. */
export class ZorroBus {
  readonly #places: Place[] = [];
  /** Replaced when one comes or goes, so that a change of level copies nothing. */
  #listeners: readonly ((line: ZorroInterrupt, level: boolean) => void)[] = [];
  /** Boards that pull each line. */
  readonly #pulling: Record<ZorroInterrupt, number> = { INT2: 0, INT6: 0 };
  readonly #observer: Observer | undefined;
  #configured: ConfiguredBoard[] = [];
  #last: ConfiguredBoard | undefined;
  /** The processor's address space as far as this bus has it; offsets are addresses. */
  readonly space: RegisterWindow = windowOf(
    (address, width) => this.#read(address >>> 0, width),
    (address, width, value) => this.#write(address >>> 0, width, value),
  );

  constructor(options: { observer?: Observer | undefined } = {}) {
    this.#observer = options.observer;
  }

  /** Plugs a board into the next slot. */
  plug(board: ZorroBoard): void {
    const place: Place = { board, pulls: { INT2: false, INT6: false }, configured: undefined, isShutUp: false };
    this.#places.push(place);
    board.plugged({ interrupt: (line, level) => this.#interrupt(place, line, level) });
  }

  /** Boards that have a base, by base. */
  get configured(): readonly ConfiguredBoard[] {
    return this.#configured;
  }

  /** The board that answers at an address. */
  find(address: number): ConfiguredBoard | undefined {
    const last = this.#last;
    if (last !== undefined && address >= last.base && address < last.base + last.size) return last;
    for (const place of this.#configured) {
      if (address >= place.base && address < place.base + place.size) {
        this.#last = place;
        return place;
      }
    }
    return undefined;
  }

  /** Whether any board pulls a line. */
  level(line: ZorroInterrupt): boolean {
    return this.#pulling[line] > 0;
  }

  /** Listens to the lines. Returns the way to stop. */
  onInterrupt(listener: (line: ZorroInterrupt, level: boolean) => void): () => void {
    this.#listeners = [...this.#listeners, listener];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
    };
  }

  /** Every board loses its base. */
  reset(): void {
    this.#configured = [];
    this.#last = undefined;
    for (const place of this.#places) {
      place.configured = undefined;
      place.isShutUp = false;
      place.board.reset();
    }
  }

  /** The board whose turn it is to be configured. */
  get #next(): Place | undefined {
    return this.#places.find(({ configured, isShutUp }) => configured === undefined && !isShutUp);
  }

  #interrupt(place: Place, line: ZorroInterrupt, level: boolean): void {
    if (place.pulls[line] === level) return;
    place.pulls[line] = level;
    const before = this.level(line);
    this.#pulling[line] += level ? 1 : -1;
    if (this.level(line) === before) return;
    const listeners = this.#listeners;
    for (let index = 0; index < listeners.length; index++) listeners[index](line, level);
  }

  #read(address: number, width: AccessWidth): number {
    const found = this.find(address);
    if (found !== undefined) {
      if (address + width <= found.base + found.size) return readRegister(found.window, address - found.base, width);
      return this.#readBytes(address, width);
    }
    if (this.#configOffset(address) === undefined) return width === 4 ? 0xffff_ffff : width === 2 ? 0xffff : 0xff;
    return this.#readBytes(address, width);
  }

  #readBytes(address: number, width: AccessWidth): number {
    let value = 0;
    for (let byte = 0; byte < width; byte++) value = value * 256 + this.#readByte((address + byte) >>> 0);
    return value;
  }

  #readByte(address: number): number {
    const found = this.find(address);
    if (found !== undefined) return found.window.read8(address - found.base) & 0xff;
    const offset = this.#configOffset(address);
    return offset === undefined ? 0xff : (this.#next?.board.readConfig(offset) ?? 0xff) & 0xff;
  }

  /** The place in a board's configuration area that an address means. */
  #configOffset(address: number): number | undefined {
    const { zorro3, zorro2, size } = zorroConfigArea;
    if (address >= zorro3 && address < zorro3 + size) return address - zorro3;
    if (address < zorro2 || address >= zorro2 + size) return undefined;
    const offset = address - zorro2;
    // The partner nibble is at +2 here.
    return (offset & 2) === 0 ? offset : offset - partnerOffset.zorro2 + partnerOffset.zorro3;
  }

  #write(address: number, width: AccessWidth, value: number): void {
    const found = this.find(address);
    if (found !== undefined) {
      if (address + width <= found.base + found.size) writeRegister(found.window, address - found.base, width, value);
      return;
    }
    const { zorro3, zorro2, size } = zorroConfigArea;
    for (const area of [zorro3, zorro2]) {
      if (address >= area && address < area + size) this.#writeConfig(address - area, width, value);
    }
  }

  #writeConfig(offset: number, width: AccessWidth, value: number): void {
    const place = this.#next;
    if (place === undefined) return;
    // The most significant byte is the one at the register's own offset.
    const high = (value >>> (8 * (width - 1))) & 0xff;
    if (offset === ConfigRegister.ShutUp) {
      place.isShutUp = true;
      this.#tell(place.board, "shut up", {});
    } else if (offset === ConfigRegister.Base) this.#configure(place, high * 0x100_0000);
  }

  /** A base that is not legal leaves the board as it was. */
  #configure(place: Place, base: number): void {
    const { board } = place;
    const end = base + board.size;
    const isLegal = base >= zorroSpace.start && end <= zorroSpace.end && base % board.size === 0;
    const isFree = this.#configured.every((other) => end <= other.base || base >= other.base + other.size);
    if (!isLegal || !isFree) {
      this.#tell(board, "base refused", { base });
      return;
    }
    place.configured = { board, base, size: board.size, window: board.window };
    this.#configured = [...this.#configured, place.configured].sort((a, b) => a.base - b.base);
    this.#tell(board, "configured", { base });
  }

  #tell(board: ZorroBoard, name: string, fields: Record<string, number>): void {
    this.#observer?.emit({ category: "registers", source: `zorro ${board.name}`, name, fields });
  }
}
