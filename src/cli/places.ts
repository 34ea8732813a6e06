/** Which places of a disk the verification looks at: the first and the last blocks, and random ones between them. */

/** A run of blocks. */
export interface Place {
  readonly lba: number;
  readonly blocks: number;
}

/** Bytes of one place. */
export const placeBytes = 64 * 1024;
/** Bytes of random places, at least; a smaller disk is covered whole. */
export const randomBytes = 16 * 1024 * 1024;
/** The same where every byte comes over a serial line. */
export const fewRandomBytes = 256 * 1024;

/**
 * Places that do not overlap, in random order. The first one starts with block 0 and the last one ends with the last
 * block.
 * @param below random numbers: a whole number, 0 ≤ n < limit.
 * @param bytes of random places.
 */
export function choosePlaces(
  blocks: number,
  blockSize: number,
  below: (limit: number) => number,
  bytes = randomBytes,
): Place[] {
  const size = Math.max(1, Math.floor(placeBytes / blockSize));
  const wanted = Math.ceil(bytes / (size * blockSize)) + 2;
  const places: Place[] = [];
  if (blocks <= wanted * size) {
    for (let lba = 0; lba < blocks; lba += size) places.push({ lba, blocks: Math.min(size, blocks - lba) });
  } else {
    // What is left over when the places are laid side by side is shared out as gaps between them.
    const spare = blocks - wanted * size;
    const gaps = Array.from({ length: wanted - 2 }, () => below(spare + 1)).sort((one, other) => one - other);
    places.push({ lba: 0, blocks: size });
    for (const [index, gap] of gaps.entries()) places.push({ lba: (index + 1) * size + gap, blocks: size });
    places.push({ lba: blocks - size, blocks: size });
  }
  return shuffle(places, below);
}

function shuffle<T>(items: T[], below: (limit: number) => number): T[] {
  for (let index = items.length - 1; index > 0; index--) {
    const other = below(index + 1);
    [items[index], items[other]] = [items[other], items[index]];
  }
  return items;
}
