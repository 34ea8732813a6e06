/** Random volumes of all file systems: read whole against what was put there, then damaged and read again. */
import assert from "node:assert/strict";
import { makeAffsVolume } from "../../src/filesystem/affs/make-volume.js";
import { affsSum, FileSystemError, openFileSystem, readWhole } from "../../src/filesystem/index.js";
import { blockReaderOf } from "../../src/testing/block-reader-of.js";
import { exploreFiles } from "../../src/testing/explore-files.js";
import { makeUfsVolume, makeXv6Image, type SeededRandom } from "../../src/testing/index.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

/** A directory that all file systems can hold. */
type Tree = Map<string, Uint8Array | Tree>;

/** A kind of volume: how it is made, and how a longword of it is changed so that checksums do not give it away. */
interface Kind {
  readonly name: string;
  make(random: SeededRandom, root: ReadonlyMap<string, never>): Uint8Array;
  /** Entries that the other kinds have not: links, to a file of the root directory and to one another. */
  links(file: string): Record<string, unknown>;
  change(bytes: Uint8Array, random: SeededRandom): void;
}

/** Byte offset of a longword in a range, of one that is in use if there is one soon. */
function pick(view: DataView, from: number, length: number, random: SeededRandom): number {
  let at = from;
  for (let tries = 0; tries < 60; tries++) {
    at = from + 4 * random.below(length / 4);
    if (at + 4 <= view.byteLength && view.getUint32(at) !== 0) break;
  }
  return Math.min(at, view.byteLength - 4);
}

const affsShapes = [512, 1024, 2048] as const;

const affs: Kind = {
  name: "affs",
  make(random, root) {
    const blockSize = affsShapes[random.below(affsShapes.length)];
    const spec = { dosType: 0x444f_5300 + random.below(8), blockSize, blocks: 500 + random.below(100), root };
    return makeAffsVolume(random.chance(0.5) ? spec : { ...spec, scatter: random });
  },
  links: (file) => ({
    hard: { hardLink: file, comment: "hard" },
    soft: { softLink: `/${file}` },
    round: { softLink: "again" },
    again: { softLink: ":links/round" },
  }),
  change(bytes, random) {
    const blockSize = affsShapes.find((size) => isRootAt(bytes, size)) ?? 512;
    const used = pick(new DataView(bytes.buffer), 0, bytes.length, random);
    const view = new DataView(bytes.buffer, Math.floor(used / blockSize) * blockSize, blockSize);
    const at = random.chance(0.2) ? blockSize - 4 * (1 + random.below(50)) : pick(view, 0, blockSize, random);
    view.setUint32(at, random.chance(0.7) ? random.below(620) : random.below(2 ** 32));
    if (random.chance(0.1)) return;
    view.setUint32(20, 0);
    view.setUint32(20, -affsSum(view) >>> 0);
  },
};

/** Whether a volume has blocks of this size: its root block ends with 1. */
function isRootAt(bytes: Uint8Array, blockSize: number): boolean {
  const root = Math.floor((2 + bytes.length / blockSize - 1) / 2);
  const view = new DataView(bytes.buffer, root * blockSize, blockSize);
  return view.getUint32(0) === 2 && view.getUint32(blockSize - 4) === 1;
}

const ufs: Kind = {
  name: "ufs",
  make(random, root) {
    const blockSize = random.chance(0.5) ? 4096 : 8192;
    const fragmentSize = blockSize / 2 ** random.below(4);
    const format = random.chance(0.5) ? "svr4" : "4.4bsd";
    const shape = { blockSize, fragmentSize, format, groups: 2, blocksPerGroup: 80, inodesPerGroup: 128 } as const;
    return makeUfsVolume(random.chance(0.5) ? { ...shape, root } : { ...shape, root, scatter: random });
  },
  links: (file) => ({
    hard: { hardLink: file },
    soft: { target: `../${file}` },
    round: { target: "again" },
    again: { target: `${"../links/".repeat(9)}round` },
  }),
  change(bytes, random) {
    const view = new DataView(bytes.buffer);
    const block = view.getUint32(8192 + 48);
    const inodes = view.getUint32(8192 + 16) * view.getUint32(8192 + 52);
    const chance = random.below(10);
    // Mostly inodes, some directories and indirect blocks, sometimes the superblock.
    const [from, length] = chance < 6 ? [inodes, 40 * 128] : chance < 9 ? [inodes, 40 * block] : [8192, 1376];
    const at = pick(view, from, length, random);
    if (random.chance(0.3)) view.setUint8(at + random.below(4), random.below(256));
    else view.setUint32(at, random.chance(0.7) ? random.below(700) : random.below(2 ** 32));
  },
};

const xv6: Kind = {
  name: "xv6",
  make: (_random, root) => makeXv6Image({ root, blocks: 900 }),
  links: () => ({}),
  change(bytes, random) {
    const view = new DataView(bytes.buffer);
    const at = random.chance(0.05) ? 1024 + 4 * random.below(8) : pick(view, 32 * 1024, 30 * 1024, random);
    view.setUint32(at, random.chance(0.7) ? random.below(1000) : random.below(2 ** 32), true);
  },
};

const kinds = [affs, ufs, xv6];

/** Files of all sizes that fit, in a few directories. */
function makeTree(random: SeededRandom, depth = 0): Tree {
  const tree: Tree = new Map();
  for (let left = 2 + random.below(8); left > 0; left--) {
    const name = `${"abcdefgh"[random.below(8)]}${random.below(1000)}`;
    const length = random.chance(0.1)
      ? random.below(90_000)
      : random.chance(0.5)
        ? random.below(40)
        : random.below(6000);
    const byte = random.below(256);
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 31 + byte + (index >>> 8)) & 0xff);
    tree.set(name, depth < 3 && random.chance(0.25) ? makeTree(random, depth + 1) : bytes);
  }
  return tree;
}

/** Everything that was put there is there, and nothing else. */
async function compare(bytes: Uint8Array, root: Tree, round: Round): Promise<void> {
  const fileSystem = await openFileSystem(blockReaderOf(bytes, 512));
  const walk = async (path: string, tree: Tree) => {
    const names = (await fileSystem.entries(path)).map(({ name }) => name).filter((name) => name !== "links");
    assert.deepEqual(names.sort(), [...tree.keys()].sort(), path);
    for (const [name, node] of tree) {
      if (node instanceof Map) await walk(`${path}/${name}`, node);
      else assert.deepEqual(await readWhole(fileSystem, `${path}/${name}`), node, `${path}/${name}`);
      round.count("files compared");
    }
  };
  await walk("", root);
}

async function damage(kind: Kind, made: Uint8Array, round: Round): Promise<void> {
  const bytes = made.slice();
  for (let changes = 1 + round.random.below(8); changes > 0; changes--) kind.change(bytes, round.random);
  const reader = blockReaderOf(bytes, 512);
  let isDamaged = false;
  const onRefusal = (error: FileSystemError) => {
    round.count(`${kind.name}: ${error.code}`);
    isDamaged ||= error.code === "damaged";
    // Names are the disk's; a line is a line.
    if (/\p{Cc}/u.test(error.message)) throw new Error(`more than a line: ${error.message}`);
  };
  try {
    const fileSystem = await openFileSystem(reader);
    round.count(`${kind.name}: opened`);
    await exploreFiles(fileSystem, { entries: 300, bytes: 100_000, onRefusal });
    if (!isDamaged) round.count(`${kind.name}: read whole`);
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error;
    onRefusal(error);
  }
  assert.ok(reader.calls < 40_000, `${reader.calls} reads`);
}

export const filesystems: Soak = {
  name: "filesystems",
  title: "random volumes of OFS, FFS, UFS and xv6, read against what was put there, then damaged",
  quickRounds: 21,
  start() {
    return async (round) => {
      const kind = kinds[round.number % kinds.length];
      const root = makeTree(round.random);
      let made: Uint8Array;
      try {
        const file = [...root].find(([, node]) => node instanceof Uint8Array)?.[0];
        const links = new Map(file === undefined ? [] : Object.entries(kind.links(file)));
        made = kind.make(round.random, new Map<string, unknown>([...root, ["links", links]]) as never);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        round.count("volumes too small");
        return;
      }
      await compare(made, root, round);
      for (let time = 0; time < 8; time++) await damage(kind, made, round);
    };
  },
  goals(counts, rounds) {
    const names = kinds.flatMap(({ name }) => [`${name}: damaged`, `${name}: opened`, `${name}: read whole`]);
    if (rounds >= 1000) requireCounts(counts, [...names, "files compared"], 100);
  },
};
