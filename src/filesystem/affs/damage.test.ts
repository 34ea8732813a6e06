import assert from "node:assert/strict";
import { test } from "node:test";
import { blockReaderOf } from "../../testing/block-reader-of.js";
import { exploreFiles } from "../../testing/explore-files.js";
import { seededRandom } from "../../testing/index.js";
import { AffsFileSystem, affsSum, FileSystemError, readWhole } from "../index.js";
import { makeAffsVolume } from "./make-volume.js";

const big = Uint8Array.from({ length: 80_000 }, (_, index) => index & 0xff);
const make = (kind: number) =>
  makeAffsVolume({
    dosType: 0x444f5300 + kind,
    blocks: 600,
    root: new Map(
      Object.entries({
        big,
        dir: new Map([["leaf", "leaf"]]),
        link: { hardLink: "big" },
        dirLink: { hardLink: "dir" },
        soft: { softLink: "dir/leaf" },
        ...Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`n${index}`, ""])),
      } as const),
    ),
  });
const images = new Map([0, 1, 3, 5, 7].map((kind) => [kind, make(kind)]));
const image = (kind: number) => (images.get(kind) as Uint8Array).slice();
const open = (bytes: Uint8Array) => AffsFileSystem.open(blockReaderOf(bytes, 512));

/** Changes longwords of a block, and makes its sum right again. */
function change(bytes: Uint8Array, key: number, longs: Readonly<Record<number, number>>): Uint8Array {
  const view = new DataView(bytes.buffer, key * 512, 512);
  for (const [at, value] of Object.entries(longs)) view.setUint32(Number(at), value);
  view.setUint32(20, 0);
  view.setUint32(20, -affsSum(view) >>> 0);
  return bytes;
}

const long = (bytes: Uint8Array, key: number, at: number) => new DataView(bytes.buffer).getUint32(key * 512 + at);
const root = 300;

/** What a longword of a block becomes, and what is then said. */
interface Damage {
  readonly what: string;
  readonly kind?: number;
  /** Name of the entry whose block is changed; the root block without. */
  readonly entry?: string;
  /** Follows a pointer at this byte offset first. */
  readonly by?: number;
  readonly longs: Readonly<Record<number, number>>;
  /** Of reading `big` and listing the root. */
  readonly message: RegExp;
}

const damages: readonly Damage[] = [
  { what: "a header of another type", entry: "big", longs: { 0: 8 }, message: /types 8 and -3/ },
  { what: "a secondary type that does not exist", entry: "big", longs: { 508: 7 }, message: /types 2 and 7/ },
  { what: "another own number", entry: "big", longs: { 4: 5 }, message: /says that it is block 5/ },
  { what: "another parent", entry: "big", longs: { 500: 299 }, message: /does not belong there: its parent is 299/ },
  { what: "a file larger than the volume", entry: "big", longs: { 324: 0xffffffff }, message: /has 4294967295 bytes/ },
  { what: "a table with too few numbers", entry: "big", longs: { 8: 71 }, message: /has 71 block numbers where 72/ },
  { what: "a table with too many numbers", entry: "big", longs: { 8: 73 }, message: /has 73 block numbers/ },
  { what: "tables that end too early", entry: "big", longs: { 504: 0 }, message: /end 85 blocks too early/ },
  { what: "an extension that is none", entry: "big", longs: { 504: root }, message: /does not continue the table/ },
  { what: "an extension outside", entry: "big", longs: { 504: 600 }, message: /block 600; there are blocks 2 to 599/ },
  { what: "an extension of another file", entry: "big", by: 504, longs: { 500: 5 }, message: /does not continue/ },
  {
    what: "a data block in the boot block",
    entry: "big",
    longs: { 308: 1 },
    message: /a data block of .*big.* block 1;/,
  },
  { what: "a data block outside", entry: "big", longs: { 304: 600 }, message: /block 600;/ },
  {
    what: "a data block of OFS with another header",
    kind: 0,
    entry: "big",
    by: 308,
    longs: { 4: 9 },
    message: /is not data block 1/,
  },
  {
    what: "a data block of OFS out of order",
    kind: 0,
    entry: "big",
    by: 308,
    longs: { 8: 2 },
    message: /is not data block 1/,
  },
  {
    what: "a data block of OFS that is too short",
    kind: 0,
    entry: "big",
    by: 308,
    longs: { 12: 3 },
    message: /says that it has 3/,
  },
  {
    what: "a data block of OFS that is too long",
    kind: 0,
    entry: "big",
    by: 308,
    longs: { 12: 489 },
    message: /489 bytes, 488/,
  },
  { what: "a hard link to nothing", entry: "link", longs: { 468: 0 }, message: /what link is a link to.*block 0;/ },
  { what: "a hard link to the root", entry: "link", longs: { 468: root }, message: /file-link, which leads to a root/ },
  { what: "a hard link to itself", entry: "link", longs: {}, message: /link to a link/ },
];

for (const { what, kind = 1, entry, by, longs, message } of damages) {
  test(`${what} is damage`, async () => {
    const bytes = image(kind);
    let key = root;
    if (entry !== undefined) key = ownKey(bytes, entry);
    if (by !== undefined) key = long(bytes, key, by);
    change(bytes, key, what.endsWith("to itself") ? { 468: key } : longs);
    const look = async () => {
      const fileSystem = await open(bytes);
      await readWhole(fileSystem, "big");
      await fileSystem.entries("/");
    };
    await assert.rejects(look, (error: Error) => {
      assert.ok(error instanceof FileSystemError, String(error.stack));
      assert.match(error.message, message);
      return true;
    });
  });
}

/** The block of an entry of the root directory: every chain is gone through. */
function ownKey(bytes: Uint8Array, name: string): number {
  for (let at = 24; at < 312; at += 4) {
    for (let key = long(bytes, root, at); key !== 0; key = long(bytes, key, 496)) {
      const from = key * 512 + 512 - 80;
      if (String.fromCharCode(...bytes.subarray(from + 1, from + 1 + bytes[from])) === name) return key;
    }
  }
  throw new Error(`no ${name}`);
}

test("a hash chain that comes back is damage, to a listing and to a search", async () => {
  const bytes = image(1);
  const key = ownKey(bytes, "big");
  change(bytes, key, { 496: key });
  await assert.rejects((await open(bytes)).entries("/"), /comes back to block/);
  const two = image(1);
  const first = ownKey(two, "n1");
  // Whatever has the same hash comes after the end of the circle.
  change(two, first, { 496: first });
  const other = [...Array(400).keys()].map((index) => `x${index}`);
  const fileSystem = await open(two);
  const answers = await Promise.allSettled(other.map((name) => fileSystem.stat(name)));
  assert.ok(
    answers.some((answer) => answer.status === "rejected" && /comes back to block/.test(answer.reason.message)),
  );
});

test("a block whose sum is wrong is damage, one that nobody needs is not looked at", async () => {
  const bytes = image(1);
  const key = ownKey(bytes, "n7");
  bytes[key * 512 + 100] ^= 1;
  const fileSystem = await open(bytes);
  assert.deepEqual(await readWhole(fileSystem, "big"), big);
  await assert.rejects(fileSystem.stat("n7"), /block \d+: its checksum is wrong/);
});

test("a disk that ends early is damage where it ends, not before", async () => {
  const fileSystem = await open(image(1).slice(0, 512 * 400));
  assert.equal((await fileSystem.stat("big")).size, big.length);
  const pieces = fileSystem.pieces("big");
  assert.deepEqual((await pieces.next()).value, big.subarray(0, 72 * 512));
  await assert.rejects(readWhole(fileSystem, "big"), /said to be in block 4\d\d; there are blocks 2 to 399/);
});

test("errors of the medium come through as they are", async () => {
  const reader = blockReaderOf(image(1), 512);
  const failing = {
    ...{ blockSize: 512, blocks: 600 },
    readBlocks: async (lba: number, count: number) => {
      if (lba === root) throw new Error("medium error");
      return reader.readBlocks(lba, count);
    },
  };
  await assert.rejects(AffsFileSystem.open(failing), /^Error: medium error$/);
});

test("any change of any block, its sum made right again, ends: with an answer or a FileSystemError, after few reads", async () => {
  const random = seededRandom(4);
  let refused = 0;
  for (let round = 0; round < 60; round++) {
    const kind = [0, 1, 3, 5, 7][round % 5];
    const bytes = image(kind);
    for (let changes = 1 + random.below(6); changes > 0; changes--) {
      const key = 2 + random.below(598);
      const at = 4 * random.below(128);
      const value = random.chance(0.7) ? random.below(620) : random.below(2 ** 32);
      change(bytes, key, { [at]: value });
    }
    const reader = blockReaderOf(bytes, 512);
    try {
      const fileSystem = await AffsFileSystem.open(reader);
      refused += (await exploreFiles(fileSystem, { entries: 400 })).refused;
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error;
    }
    assert.ok(reader.calls < 20_000, `${reader.calls} reads`);
  }
  assert.ok(refused > 5, `${refused} refused`);
});
