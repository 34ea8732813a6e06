import assert from "node:assert/strict";
import { test } from "node:test";
import { blockReaderOf } from "../../testing/block-reader-of.js";
import { seededRandom } from "../../testing/index.js";
import { AffsFileSystem, affsBlockSizes, FileSystemError, listPath, readWhole } from "../index.js";
import { affsDateParts } from "./block-maker.js";
import { type AffsTree, makeAffsVolume } from "./make-volume.js";

const random = seededRandom(21);
const bytesOf = (length: number) => Uint8Array.from({ length }, () => random.below(256));
const text = async (fileSystem: AffsFileSystem, path: string) =>
  new TextDecoder("latin1").decode(await readWhole(fileSystem, path));

/** Lengths around data blocks, tables and pieces. */
const lengths = [0, 1, 487, 488, 489, 511, 512, 513, 72 * 488, 72 * 488 + 1, 72 * 512, 72 * 512 + 1, 200_000];
const files = new Map(lengths.map((length) => [`size${length}`, bytesOf(length)]));
const modified = new Date(Date.UTC(1994, 6, 29, 12, 34, 56, 780));
const tree: AffsTree = new Map(
  Object.entries({
    files,
    Startup: { content: "ECHO hello\n", comment: "runs at boot", protection: 0x4f, modified },
    inner: new Map(Object.entries({ deeper: new Map([["leaf", "leaf\n"]]), up: { softLink: "/Startup" } })),
    many: new Map(Array.from({ length: 300 }, (_, index) => [`entry ${index}`, `${index}`])),
    linkToFile: { hardLink: "Startup" },
    linkToDirectory: { hardLink: "inner" },
    soft: { softLink: "inner/deeper/leaf" },
    fromRoot: { softLink: ":inner/deeper/leaf" },
    byName: { softLink: "work:inner/deeper/leaf" },
    elsewhere: { softLink: "DH1:thing" },
    nowhere: { softLink: "inner/none" },
    above: { softLink: "//Startup" },
    round: { softLink: "round" },
    "Grün & Ærø": "accents",
  } as const),
);

const kinds = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const open = (image: Uint8Array, place = {}) => AffsFileSystem.open(blockReaderOf(image, 512), place);
const refuses = (code: FileSystemError["code"], message: RegExp) => (error: Error) =>
  error instanceof FileSystemError && error.code === code && message.test(error.message);

for (const kind of kinds) {
  test(`DOS\\${kind}: files of every length, directories, links, comments, dates, on all sizes of block`, async () => {
    for (const blockSize of affsBlockSizes) {
      const blocks = blockSize === 512 ? 4000 : 1300;
      const shape = { dosType: 0x444f5300 + kind, name: "Work", blockSize, blocks, root: tree };
      const image = makeAffsVolume(kind % 2 === 0 ? shape : { ...shape, scatter: seededRandom(kind) });
      const fileSystem = await open(image);
      assert.deepEqual(fileSystem.volume, { type: `DOS\\${kind}`, name: "Work", blockSize, blocks });
      for (const [name, bytes] of files) assert.deepEqual(await readWhole(fileSystem, `files/${name}`), bytes, name);
      const names = (await fileSystem.entries("/many")).map(({ name }) => name);
      assert.deepEqual(names.sort(), [...Array(300).keys()].map((index) => `entry ${index}`).sort());
      assert.deepEqual(await fileSystem.stat("STARTUP"), {
        ...{ name: "Startup", type: "file", size: 11, mode: "-s------", comment: "runs at boot", modified },
        inode: (await fileSystem.stat("linkToFile")).inode,
      });
      assert.equal((await fileSystem.stat("linkToFile")).name, "linkToFile");
      assert.equal(await text(fileSystem, "linkToFile"), "ECHO hello\n");
      assert.deepEqual(await fileSystem.entries("linkToDirectory"), await fileSystem.entries("inner"));
    }
  });
}

test("soft links lead on from where they are, from the root, up by slashes, and to this volume by its name", async () => {
  const fileSystem = await open(makeAffsVolume({ name: "Work", root: tree, blocks: 4000 }));
  for (const path of ["soft", "fromRoot", "byName"]) {
    assert.equal(await text(fileSystem, path), "leaf\n", path);
  }
  assert.equal(await text(fileSystem, "inner/up"), "ECHO hello\n");
  assert.equal((await fileSystem.stat("soft")).target, "inner/deeper/leaf");
  assert.deepEqual(
    (await listPath(fileSystem, "soft")).map(({ type }) => type),
    ["link"],
  );
  await assert.rejects(
    readWhole(fileSystem, "elsewhere"),
    refuses("other-volume", /\/elsewhere is a link to DH1:thing/),
  );
  await assert.rejects(readWhole(fileSystem, "nowhere"), refuses("not-found", /\/inner\/none/));
  await assert.rejects(readWhole(fileSystem, "above"), refuses("not-found", /above the root/));
  await assert.rejects(readWhole(fileSystem, "round"), refuses("too-many-links", /more than 16 links/));
});

test("upper and lower case are one; those of letters with accents on international volumes only", async () => {
  const dosType = (kind: number) => ({ dosType: 0x444f5300 + kind, root: tree, blocks: 4000 });
  assert.equal(await text(await open(makeAffsVolume(dosType(3))), "GRÜN & æRØ"), "accents");
  const old = await open(makeAffsVolume(dosType(1)));
  assert.equal(await text(old, "grün & Ærø"), "accents");
  await assert.rejects(text(old, "GRÜN & Ærø"), refuses("not-found", /no such file/));
});

test("a name with accents is found where another system's hash put it", async () => {
  const name = "ÿÿÿ äöü";
  const plain = makeAffsVolume({ dosType: 0x444f5301, root: new Map([[name, "x"]]) });
  plain[3] = 3;
  assert.equal(await text(await open(plain), name), "x");
});

test("names of up to 107 characters and their comments (DOS\\6, DOS\\7): beside the name, or in a block of their own", async () => {
  const long = "n".repeat(107);
  const comment = "c".repeat(79);
  const root: AffsTree = new Map(
    Object.entries({
      [long]: { content: "long", comment },
      short: { content: "short", comment },
      exactly: { content: "", comment: "d".repeat(31) },
      ["m".repeat(79)]: { content: "", comment: "e".repeat(31) },
    }),
  );
  for (const kind of [6, 7]) {
    const fileSystem = await open(makeAffsVolume({ dosType: 0x444f5300 + kind, root }));
    assert.equal((await fileSystem.stat(long)).comment, comment);
    assert.equal((await fileSystem.stat(long.toUpperCase())).name, long);
    assert.equal((await fileSystem.stat("short")).comment, comment);
    assert.equal((await fileSystem.stat("exactly")).comment, "d".repeat(31));
    assert.equal((await fileSystem.stat("m".repeat(79))).comment, "e".repeat(31));
  }
});

test("a volume within a disk is found by its place, and nothing beside it is read", async () => {
  const volume = makeAffsVolume({ name: "Inside", blocks: 100, root: new Map([["a", "b"]]) });
  const disk = new Uint8Array(512 * 300).fill(0xdb);
  disk.set(volume, 512 * 64);
  const inner = blockReaderOf(disk, 512);
  const guarded = {
    ...{ blockSize: 512, blocks: 300 },
    readBlocks(lba: number, count: number) {
      assert.ok(lba >= 64 && lba + count <= 164, `${count} blocks at ${lba}`);
      return inner.readBlocks(lba, count);
    },
  };
  const fileSystem = await AffsFileSystem.open(guarded, { firstBlock: 64, blocks: 100 });
  assert.equal(await text(fileSystem, "a"), "b");
  await assert.rejects(open(disk, { firstBlock: 63, blocks: 100 }), refuses("not-this-format", /no Amiga volume/));
  await assert.rejects(open(disk, { firstBlock: -1 }), refuses("not-this-format", /from block -1/));
});

test("a disk with blocks of 4096 bytes holds a volume with blocks of 512", async () => {
  const volume = makeAffsVolume({ blocks: 1760, root: new Map([["a", files.get("size200000") as Uint8Array]]) });
  const fileSystem = await AffsFileSystem.open(blockReaderOf(volume, 4096));
  assert.deepEqual(await readWhole(fileSystem, "a"), files.get("size200000"));
});

test("the root block is found behind a size that was rounded down, by the mount's numbers, and by the boot block", async () => {
  const odd = makeAffsVolume({ blocks: 201, blockSize: 1024, root: new Map([["a", "odd"]]) });
  assert.equal(await text(await open(odd), "a"), "odd");
  const moved = new Uint8Array(odd.length + 77 * 1024);
  moved.set(odd);
  assert.equal(await text(await open(moved), "a"), "odd");
  const reserved = makeAffsVolume({ blocks: 200, reserved: 9, root: new Map([["a", "nine"]]) });
  new DataView(reserved.buffer).setUint32(8, 0);
  assert.equal(await text(await open(reserved, { reserved: 9 }), "a"), "nine");
  await assert.rejects(open(reserved), refuses("damaged", /no root block where it should be/));
});

test("the DosType may come from the mount list; other file systems are named", async () => {
  const image = makeAffsVolume({ dosType: 0x444f5303, root: new Map([["a", "b"]]) });
  const other = (dosType: number) => {
    const copy = image.slice();
    new DataView(copy.buffer).setUint32(0, dosType);
    return copy;
  };
  assert.equal((await open(other(0), { dosType: 0x444f5303 })).volume.type, "DOS\\3");
  await assert.rejects(open(other(0x53465300)), refuses("not-supported", /^SFS\\0 is no file system/));
  await assert.rejects(open(other(0x50465303)), refuses("not-supported", /^PFS\\3 /));
  await assert.rejects(open(other(0x444f5308)), refuses("not-supported", /^DOS\\8 /));
  await assert.rejects(open(other(0)), refuses("not-this-format", /no DosType/));
  await assert.rejects(open(new Uint8Array(1024)), refuses("not-this-format", /too few/));
  await assert.rejects(open(image, { blockSize: 1000 }), RangeError);
  await assert.rejects(open(image, { reserved: 0 }), RangeError);
});

test("what is no directory, no file or not there is refused in one line", async () => {
  const fileSystem = await open(makeAffsVolume({ root: tree, blocks: 4000 }));
  await assert.rejects(fileSystem.entries("Startup"), refuses("not-a-directory", /^Startup is no directory$/));
  await assert.rejects(fileSystem.stat("Startup/x"), refuses("not-a-directory", /^\/Startup is no directory$/));
  await assert.rejects(text(fileSystem, "inner"), refuses("not-a-file", /^inner is a directory$/));
  await assert.rejects(text(fileSystem, "/"), refuses("not-a-file", /is a directory$/));
  await assert.rejects(fileSystem.stat("inner/None"), refuses("not-found", /^\/inner\/None: there is no such file$/));
});

test("dates are days, minutes and fiftieths of a second since 1978; one that is none is left out", async () => {
  assert.deepEqual(affsDateParts(new Date(Date.UTC(1978, 0, 2, 1, 1, 1, 20))), { days: 1, minutes: 61, ticks: 51 });
  const image = makeAffsVolume({ root: new Map([["a", ""]]) });
  const fileSystem = await open(image);
  const { inode } = await fileSystem.stat("a");
  const view = new DataView(image.buffer, inode * 512, 512);
  view.setUint32(512 - 92 + 4, 24 * 60);
  view.setUint32(20, (view.getUint32(20) - 24 * 60) >>> 0);
  assert.equal((await (await open(image)).stat("a")).modified, undefined);
});

/** A block as published descriptions of the format print it: byte offsets and longwords, the rest zeros. */
function block(longs: Readonly<Record<number, number>>, texts: Readonly<Record<number, string>>): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of Object.entries(longs)) view.setUint32(Number(at), value);
  for (const [at, value] of Object.entries(texts)) {
    bytes.set([value.length, ...new TextEncoder().encode(value)], Number(at));
  }
  let sum = 0;
  for (let at = 0; at < 512; at += 4) sum = (sum + view.getUint32(at)) | 0;
  view.setUint32(20, -sum >>> 0);
  return bytes;
}

const day = 16_369;
const date = { 452: day, 456: 825, 460: 682 };
const oldDate = { 420: day, 424: 825, 428: 682 };

test("blocks byte by byte: a root, a file of FFS with a comment, its place in the hash table", async () => {
  const image = new Uint8Array(512 * 100);
  const put = (key: number, bytes: Uint8Array) => image.set(bytes, key * 512);
  put(0, block({ 0: 0x444f5301, 8: 50 }, {}));
  // "a": ((1 * 13 + 0x41) & 0x7ff) % 72 = 6
  put(50, block({ 0: 2, 12: 72, [0x18 + 4 * 6]: 60, 508: 1 }, { 432: "Vol" }));
  const file = { 0: 2, 4: 60, 8: 1, 16: 61, 308: 61, 320: 0x10, 324: 5, ...oldDate, 500: 50, 508: 0xffff_fffd };
  put(60, block(file, { 328: "note", 432: "a" }));
  put(61, new TextEncoder().encode("bytes and more"));
  const fileSystem = await open(image);
  assert.equal(fileSystem.volume.name, "Vol");
  const expected = { name: "a", inode: 60, type: "file", size: 5, mode: "---arwed", comment: "note" };
  assert.deepEqual(await fileSystem.stat("A"), {
    ...expected,
    modified: new Date(Date.UTC(2022, 9, 26, 13, 45, 13, 640)),
  });
  assert.equal(await text(fileSystem, "a"), "bytes");
});

test("blocks byte by byte: a directory and a file with long names (DOS\\7), and a comment's own block", async () => {
  const image = new Uint8Array(512 * 100);
  const put = (key: number, bytes: Uint8Array) => image.set(bytes, key * 512);
  const name = `${"1234567890".repeat(10)}.txt`;
  const comment = "c".repeat(79);
  put(0, block({ 0: 0x444f5307, 8: 50 }, {}));
  // Both names have one place: the file follows the directory.
  put(50, block({ 0: 2, 12: 72, [0x18 + 4 * 6]: 60, 508: 1 }, { 432: "Vol" }));
  put(
    60,
    block(
      { 0: 2, 4: 60, ...date, 496: 0, 500: 50, 508: 2, [0x18 + 4 * hashOf(name)]: 62 },
      { 328: "a", 330: "dir-comment" },
    ),
  );
  put(62, block({ 0: 2, 4: 62, 324: 0, 440: 63, ...date, 500: 60, 508: 0xffff_fffd }, { 328: name }));
  put(63, block({ 0: 64, 4: 63, 8: 62 }, { 24: comment }));
  const fileSystem = await open(image);
  const modified = new Date(Date.UTC(2022, 9, 26, 13, 45, 13, 640));
  const directory = {
    name: "a",
    inode: 60,
    type: "directory",
    size: 0,
    mode: "----rwed",
    comment: "dir-comment",
    modified,
  };
  assert.deepEqual(await fileSystem.stat("a"), directory);
  assert.deepEqual(await fileSystem.entries("a"), [
    { name, inode: 62, type: "file", size: 0, mode: "----rwed", comment, modified },
  ]);
  assert.equal((await fileSystem.stat(`a/${name}`)).inode, 62);
});

/** The hash of a name of letters without accents and digits. */
function hashOf(name: string): number {
  return [...name.toUpperCase()].reduce((sum, letter) => (sum * 13 + letter.charCodeAt(0)) & 0x7ff, name.length) % 72;
}
