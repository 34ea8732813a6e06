/** Which pages of a large space are in a set: a bitmap in leaves, so that an empty or a full stretch costs nothing. */

/** Pages in a leaf; 4 KiB of bits. */
const leafPages = 32 * 1024;
/** Stands for a leaf with every page in it. Never written, since pages do not leave the set. */
const fullLeaf = new Uint32Array(0);

export class PageSet {
  readonly #leaves: (Uint32Array | undefined)[] = [];
  #size = 0;

  /** A set that can hold the pages 0 … `pages` − 1. */
  constructor(pages: number) {
    for (let index = 0; index < Math.ceil(pages / leafPages); index++) this.#leaves.push(undefined);
  }

  /** Pages in the set. */
  get size(): number {
    return this.#size;
  }

  has(page: number): boolean {
    const index = Math.floor(page / leafPages);
    const leaf = this.#leaves[index];
    if (leaf === undefined) return false;
    if (leaf === fullLeaf) return true;
    const bit = page - index * leafPages;
    return ((leaf[bit >>> 5] >>> (bit & 31)) & 1) !== 0;
  }

  /** Adds the pages from `start` up to, not including, `end`. */
  addRange(start: number, end: number): void {
    let page = start;
    while (page < end) {
      const index = Math.floor(page / leafPages);
      const leafStart = index * leafPages;
      const stop = Math.min(end, leafStart + leafPages);
      let leaf = this.#leaves[index];
      if (leaf !== fullLeaf) {
        if (stop - page === leafPages) {
          this.#size += leafPages - (leaf === undefined ? 0 : countBits(leaf));
          this.#leaves[index] = fullLeaf;
        } else {
          leaf ??= this.#leaves[index] = new Uint32Array(leafPages / 32);
          for (let bit = page - leafStart; bit < stop - leafStart; bit++) {
            const mask = 1 << (bit & 31);
            const word = leaf[bit >>> 5];
            if ((word & mask) === 0) {
              leaf[bit >>> 5] = word | mask;
              this.#size++;
            }
          }
        }
      }
      page = stop;
    }
  }

  /** The first page after `page`, below `end`, that is in the set when `page` is not (and the other way round), or `end`. */
  endOfRun(page: number, end: number): number {
    const inside = this.has(page);
    const wholeWord = inside ? 0xffffffff : 0;
    let at = page + 1;
    while (at < end) {
      const index = Math.floor(at / leafPages);
      const leaf = this.#leaves[index];
      if (leaf === undefined || leaf === fullLeaf) {
        if ((leaf === fullLeaf) !== inside) return at;
        at = (index + 1) * leafPages;
        continue;
      }
      const bit = at - index * leafPages;
      const word = leaf[bit >>> 5];
      if ((bit & 31) === 0 && word === wholeWord) at += 32;
      else if (((word >>> (bit & 31)) & 1) !== (inside ? 1 : 0)) return at;
      else at++;
    }
    return end;
  }
}

function countBits(leaf: Uint32Array): number {
  let count = 0;
  for (let word of leaf) {
    for (; word !== 0; word &= word - 1) count++;
  }
  return count;
}
