/** The content of a UFS inode, by way of its addresses. */
import type { VolumeReader } from "../volume-reader.js";
import type { UfsInode } from "./inode.js";
import { ufsDirectBlocks, ufsIndirectLevels } from "./layout.js";
import { type UfsGeometry, ufsDamaged } from "./superblock.js";

/** Largest piece, in bytes; a multiple of every block size. */
const largestPiece = 64 * 1024;

/**
 * The bytes of an inode, piece by piece; each is valid until the next. What no address stands for is zeros: such a file may
 * be longer than its volume.
 * @throws FileSystemError `damaged`
 */
export async function* ufsContent(
  volume: VolumeReader,
  geometry: UfsGeometry,
  inode: UfsInode,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { blockSize, fragmentSize } = geometry;
  const most = largestPiece / blockSize;
  const count = Math.ceil(inode.size / blockSize);
  const map = new BlockMap(volume, geometry, inode, path);
  let zeros: Uint8Array | undefined;
  for (let block = 0; block < count; ) {
    const { address, run } = await map.run(block, Math.min(most, count - block));
    const length = Math.min(run * blockSize, inode.size - block * blockSize);
    if (address === 0) {
      zeros ??= new Uint8Array(largestPiece);
      yield zeros.subarray(0, length);
    } else {
      yield await volume.bytes(address * fragmentSize, length);
    }
    block += run;
  }
}

/** Where the blocks of an inode lie. */
class BlockMap {
  readonly #volume: VolumeReader;
  readonly #geometry: UfsGeometry;
  readonly #inode: UfsInode;
  readonly #path: string;
  readonly #perBlock: number;

  constructor(volume: VolumeReader, geometry: UfsGeometry, inode: UfsInode, path: string) {
    this.#volume = volume;
    this.#geometry = geometry;
    this.#inode = inode;
    this.#path = path;
    this.#perBlock = geometry.blockSize / 4;
  }

  /** How many blocks from `block` on, at most `most`, follow each other on disk or have no place, and where the first is. */
  async run(block: number, most: number): Promise<{ address: number; run: number }> {
    const step = this.#geometry.blockSize / this.#geometry.fragmentSize;
    const { table, from } = await this.#tableOf(block);
    const address = this.#checked(table(from), block);
    let run = 1;
    while (run < most) {
      const next = table(from + run);
      if (next === undefined || next !== (address === 0 ? 0 : address + run * step)) break;
      this.#checked(next, block + run);
      run++;
    }
    return { address, run };
  }

  /** The table that has a block's address, and the block's place in it. */
  async #tableOf(block: number): Promise<{ table: (index: number) => number | undefined; from: number }> {
    const { addresses } = this.#inode;
    const direct = (index: number) => (index < ufsDirectBlocks ? addresses[index] : undefined);
    if (block < ufsDirectBlocks) return { table: direct, from: block };
    let from = block - ufsDirectBlocks;
    let span = this.#perBlock;
    let level = 1;
    while (from >= span && level < ufsIndirectLevels) {
      from -= span;
      span *= this.#perBlock;
      level++;
    }
    let address: number | undefined = addresses[ufsDirectBlocks + level - 1];
    for (; ; level--) {
      const checked = this.#checked(address, block);
      // A missing table stands for zeros all along.
      const view = checked === 0 ? undefined : await this.#indirect(checked);
      span /= this.#perBlock;
      const table = (index: number) =>
        index >= this.#perBlock ? undefined : view === undefined ? 0 : view.getUint32(4 * index);
      if (level === 1) return { table, from };
      address = table(Math.floor(from / span));
      from %= span;
    }
  }

  #indirect(address: number): Promise<DataView> {
    const { blockSize, fragmentSize } = this.#geometry;
    return this.#volume.view(address * fragmentSize, blockSize);
  }

  #checked(address: number | undefined, block: number): number {
    const { size } = this.#geometry;
    if (address === undefined || address >= size) {
      throw ufsDamaged(`block ${block} of ${this.#path} is said to be at ${address}, where ${size} fragments are`);
    }
    return address;
  }
}
