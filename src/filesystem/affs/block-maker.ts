/** Blocks of an Amiga volume that is being made: which are free, and how those of the tree are sealed. */
import {
  AffsBlockType,
  AffsEntryType,
  affsEpoch,
  affsHead,
  affsReservedBlocks,
  affsRootBitmaps,
  affsRootTail,
  affsSum,
  affsTableSize,
  affsTail,
} from "./layout.js";

/** The volume to make blocks of. */
export interface AffsBlocksSpec {
  /** Bytes of a block. Default 512. */
  readonly blockSize?: number;
  /** Blocks of the volume. Default 1760, a floppy disk's. */
  readonly blocks?: number;
  /** Blocks at its start. Default 2. */
  readonly reserved?: number;
  /** Takes blocks in this random order; by default one after the other. */
  readonly scatter?: { shuffle<T>(items: T[]): T[] };
}

/** The blocks of a volume in the making. */
export class AffsBlockMaker {
  readonly image: Uint8Array;
  readonly blockSize: number;
  readonly reserved: number;
  /** Number of the root block. */
  readonly root: number;
  readonly #blocks: number;
  readonly #used: Uint8Array;
  readonly #order: number[];
  #next = 0;

  constructor({ blockSize = 512, blocks = 1760, reserved = affsReservedBlocks, scatter }: AffsBlocksSpec) {
    this.image = new Uint8Array(blocks * blockSize);
    this.blockSize = blockSize;
    this.reserved = reserved;
    this.root = Math.floor((reserved + blocks - 1) / 2);
    this.#blocks = blocks;
    this.#used = new Uint8Array(blocks);
    this.#used.fill(1, 0, reserved);
    this.#used[this.root] = 1;
    // As AmigaDOS does, what follows the root block is taken first.
    const order = Array.from({ length: blocks }, (_, index) => (this.root + index) % blocks);
    this.#order = scatter === undefined ? order : scatter.shuffle(order);
  }

  /** The bytes of a block, big-endian. */
  view(key: number): DataView {
    return new DataView(this.image.buffer, key * this.blockSize, this.blockSize);
  }

  /** Writes a longword so many bytes before a block's end. */
  tail(key: number, back: number, value: number): void {
    this.view(key).setUint32(this.blockSize - back, value);
  }

  /** A free block. @throws RangeError when there is none */
  take(): number {
    while (this.#next < this.#order.length) {
      const key = this.#order[this.#next++];
      if (this.#used[key] === 0) {
        this.#used[key] = 1;
        return key;
      }
    }
    throw new RangeError("the volume is full");
  }

  /** A free block with the fields that a block of the tree begins and ends with. */
  takeTyped(type: number, entryType: number, parent: number): number {
    const key = this.take();
    const view = this.view(key);
    view.setUint32(affsHead.type, type);
    view.setUint32(affsHead.ownKey, key);
    this.tail(key, affsTail.parent, parent);
    this.tail(key, affsTail.entryType, entryType);
    return key;
  }

  /** Writes text with its length in front; characters are bytes. */
  text(key: number, at: number, text: string): void {
    const view = this.view(key);
    view.setUint8(at, text.length);
    for (let index = 0; index < text.length; index++) view.setUint8(at + 1 + index, text.charCodeAt(index));
  }

  /** Writes a date as three longwords. */
  date(key: number, at: number, date: Date): void {
    const { days, minutes, ticks } = affsDateParts(date);
    const view = this.view(key);
    for (const [index, value] of [days, minutes, ticks].entries()) view.setUint32(at + 4 * index, value);
  }

  /** Makes a block's longwords sum up to 0. */
  seal(key: number, at: number = affsHead.checksum): void {
    const view = this.view(key);
    view.setUint32(at, 0);
    view.setUint32(at, -affsSum(view) >>> 0);
  }

  /** Writes boot block, root block but for its entries, and at the end the bitmap. */
  writeRoot(dosType: number, name: string, date: Date): void {
    const boot = this.view(0);
    boot.setUint32(0, dosType);
    boot.setUint32(8, this.root);
    const { root, blockSize } = this;
    const view = this.view(root);
    view.setUint32(affsHead.type, AffsBlockType.Header);
    view.setUint32(affsHead.tableSize, affsTableSize(blockSize));
    this.tail(root, affsTail.entryType, AffsEntryType.Root);
    this.text(root, blockSize - affsRootTail.name, name);
    for (const back of [affsRootTail.directoryChanged, affsRootTail.volumeChanged, affsRootTail.created]) {
      this.date(root, blockSize - back, date);
    }
  }

  /** Says which blocks are free, in blocks of their own, and seals the root block. Nothing may be taken afterwards. */
  finish(): void {
    const perBlock = (this.blockSize / 4 - 1) * 32;
    const count = Math.ceil((this.#blocks - this.reserved) / perBlock);
    const maps = Array.from({ length: count }, () => this.take());
    const pages = maps.slice(0, affsRootBitmaps);
    for (const [index, map] of pages.entries()) this.tail(this.root, affsRootTail.bitmapPages - 4 * index, map);
    let pointer = { key: this.root, at: this.blockSize - affsRootTail.bitmapExtension };
    const perExtension = this.blockSize / 4 - 1;
    for (let from: number = affsRootBitmaps; from < count; from += perExtension) {
      const extension = this.take();
      this.view(pointer.key).setUint32(pointer.at, extension);
      const view = this.view(extension);
      for (const [index, map] of maps.slice(from, from + perExtension).entries()) view.setUint32(4 * index, map);
      pointer = { key: extension, at: 4 * perExtension };
    }
    for (const [index, map] of maps.entries()) this.#writeMap(map, this.reserved + index * perBlock, perBlock);
    this.tail(this.root, affsRootTail.bitmapFlag, 0xffff_ffff);
    this.seal(this.root);
  }

  /** A set bit is a free block. */
  #writeMap(map: number, first: number, count: number): void {
    const view = this.view(map);
    for (let bit = 0; bit < count && first + bit < this.#blocks; bit++) {
      if (this.#used[first + bit] !== 0) continue;
      const at = 4 + 4 * (bit >> 5);
      view.setUint32(at, (view.getUint32(at) | (1 << (bit & 31))) >>> 0);
    }
    this.seal(map, 0);
  }
}

/** A date as the Amiga counts it. */
export function affsDateParts(date: Date): { days: number; minutes: number; ticks: number } {
  const since = date.getTime() - affsEpoch;
  const inDay = since % 86_400_000;
  const days = Math.floor(since / 86_400_000);
  return { days, minutes: Math.floor(inDay / 60_000), ticks: Math.floor((inDay % 60_000) / 20) };
}
