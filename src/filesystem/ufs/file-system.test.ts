import assert from "node:assert/strict";
import { test } from "node:test";
import { blockReaderOf } from "../../testing/block-reader-of.js";
import { makeUfsVolume, seededRandom, type UfsTree, type UfsVolumeSpec } from "../../testing/index.js";
import { FileSystemError, readWhole, UfsFileSystem } from "../index.js";

const random = seededRandom(31);
const bytesOf = (length: number) => Uint8Array.from({ length }, () => random.below(256));
const lengths = [0, 1, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 12 * 4096, 12 * 4096 + 1, 12 * 8192 + 1, 300_000];
const files = new Map(lengths.map((length) => [`size${length}`, bytesOf(length)]));
const tree: UfsTree = new Map(
  Object.entries({
    files,
    directory: new Map(Object.entries({ leaf: "leaf\n", up: { target: "../files/size1" }, down: { target: "leaf" } })),
    many: new Map(Array.from({ length: 400 }, (_, index) => [`entry-${index}`, `${index}`])),
    hard: { hardLink: "directory/leaf" },
    absolute: { target: "/directory/down" },
    round: { target: "round" },
    long: { target: "directory/../".repeat(20) },
    "59": { target: "a".repeat(59) },
    "60": { target: "a".repeat(60) },
    device: { mode: 0x2000 | 0o620 },
    pipe: { mode: 0x1000 | 0o600 },
    socket: { mode: 0xc000 | 0o777 },
  } as const),
);

const shapes: readonly UfsVolumeSpec[] = [
  { format: "svr4", blocksPerGroup: 300 },
  { format: "4.4bsd", blocksPerGroup: 300 },
  { format: "svr4", blockSize: 4096, fragmentSize: 512, blocksPerGroup: 512, scatter: seededRandom(5) },
  {
    format: "4.4bsd",
    blockSize: 4096,
    fragmentSize: 4096,
    blocksPerGroup: 512,
    groupOffset: 3,
    groupMask: 0xffff_fffc,
  },
  { format: "svr4", blockSize: 65_536, fragmentSize: 8192, blocksPerGroup: 400, groups: 3, inodesPerGroup: 1024 },
];

const open = (image: Uint8Array, options = {}) => UfsFileSystem.open(blockReaderOf(image, 512), options);
const refuses = (code: FileSystemError["code"], message: RegExp) => (error: Error) => {
  assert.ok(error instanceof FileSystemError, error.stack);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

for (const shape of shapes) {
  const { format, blockSize = 8192, fragmentSize = 1024 } = shape;
  test(`${format}, blocks of ${blockSize}, fragments of ${fragmentSize}: files, directories, links, devices`, async () => {
    const fileSystem = await open(makeUfsVolume({ ...shape, root: tree }));
    assert.equal(fileSystem.geometry.directoryFormat, format);
    assert.equal(fileSystem.volume.type, "UFS1");
    for (const [name, bytes] of files) assert.deepEqual(await readWhole(fileSystem, `files/${name}`), bytes, name);
    const many = await fileSystem.entries("/many");
    assert.deepEqual(
      many.map(({ name, type, size }) => `${type} ${name} ${size}`),
      Array.from({ length: 400 }, (_, index) => `file entry-${index} ${`${index}`.length}`),
    );
    assert.equal(new TextDecoder().decode(await readWhole(fileSystem, "absolute")), "leaf\n");
    assert.equal((await readWhole(fileSystem, "directory/up")).length, 1);
    assert.equal((await fileSystem.stat("hard")).inode, (await fileSystem.stat("directory/leaf")).inode);
    assert.equal((await fileSystem.stat("long")).target, "directory/../".repeat(20));
    assert.equal((await fileSystem.stat("59")).target, "a".repeat(59));
    assert.equal((await fileSystem.stat("60")).target, "a".repeat(60));
    const kinds = await Promise.all(["device", "pipe", "socket", "/"].map((path) => fileSystem.stat(path)));
    assert.deepEqual(
      kinds.map(({ type, mode, name }) => [type, mode, name]),
      [
        ["device", "rw--w----", "device"],
        ["pipe", "rw-------", "pipe"],
        ["socket", "rwxrwxrwx", "socket"],
        ["directory", "rwxr-xr-x", "/"],
      ],
    );
    assert.equal((await fileSystem.stat("..")).inode, 2);
    assert.deepEqual(await fileSystem.entries("directory/.."), await fileSystem.entries("/"));
  });
}

test("holes are zeros, in data blocks and in indirect blocks of three levels", async () => {
  const [first, tail] = [bytesOf(9000), bytesOf(3000)];
  const tailAt = (12 + 1024 + 1024 ** 2 + 5000) * 4096 + 17;
  const size = tailAt + tail.length + 4096 * 40;
  const pieces = new Map([
    [100_000, first],
    [tailAt, tail],
  ]);
  const root: UfsTree = new Map(
    Object.entries({ holes: { size, pieces }, nothing: { size: 70_000, pieces: new Map() } }),
  );
  const fileSystem = await open(makeUfsVolume({ blockSize: 4096, fragmentSize: 1024, root }));
  assert.deepEqual(await readWhole(fileSystem, "nothing"), new Uint8Array(70_000));
  let at = 0;
  for await (const piece of fileSystem.pieces("holes")) {
    for (const [offset, bytes] of [...pieces, [size, new Uint8Array(0)] as const]) {
      const from = Math.max(at, offset);
      const to = Math.min(at + piece.length, offset + bytes.length);
      if (from < to) assert.deepEqual(piece.subarray(from - at, to - at), bytes.subarray(from - offset, to - offset));
    }
    const wanted = [...pieces].some(([offset, bytes]) => offset < at + piece.length && offset + bytes.length > at);
    // All of a hole near data, its ends elsewhere: it is long.
    const isNear = wanted || at < 2 ** 20 || at > tailAt - 2 ** 20;
    assert.equal(wanted, isNear ? piece.some((byte) => byte !== 0) : piece[0] !== 0 || piece.at(-1) !== 0, `at ${at}`);
    at += piece.length;
  }
  assert.equal(at, size);
});

/**
 * A directory as SVR4 and SunOS write it, byte by byte: `.` and `..` are inode 2, then `abc`, a removed entry whose bytes were
 * added to that of `abc`, and a name of 12 bytes that has the rest.
 */
const svr4Directory = [
  [0x00, 0x00, 0x00, 0x02, 0x00, 0x0c, 0x00, 0x01, 0x2e, 0x00, 0x00, 0x00],
  [0x00, 0x00, 0x00, 0x02, 0x00, 0x0c, 0x00, 0x02, 0x2e, 0x2e, 0x00, 0x00],
  [0x00, 0x00, 0x00, 0x03, 0x00, 0x1c, 0x00, 0x03, 0x61, 0x62, 0x63, 0x00],
  [0x00, 0x00, 0x00, 0x09, 0x00, 0x10, 0x00, 0x04, 0x67, 0x6f, 0x6e, 0x65, 0x00, 0x00, 0x00, 0x00],
  [0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x00, 0x01, 0x78, 0x00, 0x00, 0x00],
  [
    0x00, 0x00, 0x00, 0x04, 0x01, 0xc0, 0x00, 0x0c, 0x74, 0x77, 0x65, 0x6c, 0x76, 0x65, 0x20, 0x62, 0x79, 0x74, 0x65,
    0x73,
  ],
].flat();
/** The same as 4.4BSD writes it: type 4 is a directory, 8 a file. */
const bsdTypes: readonly (readonly [number, number])[] = [
  [6, 4],
  [18, 4],
  [30, 8],
  [70, 8],
];

for (const format of ["svr4", "4.4bsd"] as const) {
  test(`a directory of ${format}, byte by byte: removed entries are passed over`, async () => {
    const image = makeUfsVolume({ format, root: new Map(Object.entries({ one: "first", two: "second" })) });
    const { inode: first } = await (await open(image)).stat("one");
    const { inode: second } = await (await open(image)).stat("two");
    const directory = Uint8Array.from({ length: 512 }, (_, index) => svr4Directory[index] ?? 0);
    if (format === "4.4bsd") for (const [at, type] of bsdTypes) directory[at] = type;
    const view = new DataView(directory.buffer);
    view.setUint32(24, first);
    view.setUint32(64, second);
    image.set(directory, rootDirectoryAt(image));
    const fileSystem = await open(image);
    const entries = await fileSystem.entries("/");
    assert.deepEqual(
      entries.map(({ name, inode }) => [name, inode]),
      [
        ["abc", first],
        ["twelve bytes", second],
      ],
    );
    assert.equal(new TextDecoder().decode(await readWhole(fileSystem, "twelve bytes")), "second");
    await assert.rejects(fileSystem.stat("gone"), refuses("not-found", /no such file/));
  });
}

/** Byte offset of the root directory: the first address of inode 2. */
function rootDirectoryAt(image: Uint8Array): number {
  const view = new DataView(image.buffer);
  return view.getUint32(rootInodeAt + 40) * 1024;
}

/** Behind boot block, superblock and group descriptor. */
const rootInodeAt = 3 * 8192 + 2 * 128;

test("names of other alphabets are UTF-8, or Latin-1 where they are no UTF-8", async () => {
  const image = makeUfsVolume({ root: new Map(Object.entries({ ü: "utf-8", xyz: "latin-1" })) });
  const at = rootDirectoryAt(image);
  const name = at + Buffer.from(image.subarray(at, at + 512)).indexOf("xyz");
  image.set([0xfc, 0xdf, 0xe9], name);
  const fileSystem = await open(image);
  assert.deepEqual(
    (await fileSystem.entries("/")).map((entry) => entry.name),
    ["ü", "üßé"],
  );
  assert.equal(new TextDecoder().decode(await readWhole(fileSystem, "üßé")), "latin-1");
  assert.equal(new TextDecoder().decode(await readWhole(fileSystem, "ü")), "utf-8");
});

test("what is no directory, no file, not there or a link to itself is refused in one line", async () => {
  const fileSystem = await open(makeUfsVolume({ blocksPerGroup: 300, root: tree }));
  await assert.rejects(fileSystem.entries("hard"), refuses("not-a-directory", /^hard is no directory$/));
  await assert.rejects(fileSystem.stat("hard/x"), refuses("not-a-directory", /^\/hard is no directory$/));
  await assert.rejects(readWhole(fileSystem, "directory"), refuses("not-a-file", /^directory is a directory$/));
  await assert.rejects(readWhole(fileSystem, "device"), refuses("not-a-file", /^device is a device$/));
  await assert.rejects(
    fileSystem.stat("directory/none"),
    refuses("not-found", /^\/directory\/none: there is no such file$/),
  );
  await assert.rejects(readWhole(fileSystem, "round"), refuses("too-many-links", /^round: more than 20 links$/));
});

/** Byte offsets of superblock fields and of the root inode's. */
const superblock = 8192;
const damages: readonly [what: string, at: number, value: number, message: RegExp][] = [
  ["blocks of no power of two", superblock + 48, 8000, /blocks of 8000 bytes/],
  ["blocks of 4 GiB", superblock + 48, 0x8000_0000, /blocks of 2147483648/],
  ["fragments of 256 bytes", superblock + 52, 256, /fragments of 256 bytes/],
  ["fragments that do not make a block", superblock + 56, 4, /4 fragments of 1024 bytes/],
  ["no inodes", superblock + 184, 0, /0 inodes in a group/],
  ["inodes that are no whole blocks", superblock + 184, 100, /100 inodes in a group/],
  ["more inodes than fit", superblock + 184, 0xffff_ffc0, /do not fit into a group/],
  ["no fragments in a group", superblock + 188, 0, /do not fit into a group of 0/],
  ["no groups", superblock + 44, 0, /0 groups/],
  ["groups past the end", superblock + 44, 0xffff_ffff, /4294967295 groups/],
  ["inodes past the group", superblock + 16, 0xffff_fff0, /do not fit/],
  ["a root that is a file of no type", rootInodeAt, 0, /inode 2 has mode 00/],
  ["a directory of 2^40 bytes", rootInodeAt + 8, 256, /the directory \/ has 1099511628288 bytes/],
  ["a directory of 2^60 bytes", rootInodeAt + 8, 1 << 28, /inode 2 says that it has/],
  ["a directory that is no whole pieces", rootInodeAt + 12, 500, /has 500 bytes/],
  ["a directory outside", rootInodeAt + 40, 0x7fff_ffff, /at 2147483647, where 8192 fragments are/],
  ["a directory of zeros", rootInodeAt + 40, 0, /an entry of \/ has 0 bytes/],
];

for (const [what, at, value, message] of damages) {
  test(`${what} is damage`, async () => {
    const image = makeUfsVolume({ root: new Map([["a", "b"]]) });
    new DataView(image.buffer).setUint32(at, at === rootInodeAt ? value << 16 : value);
    await assert.rejects(async () => (await open(image)).entries("/"), refuses("damaged", message));
  });
}

const entryDamages: readonly [what: string, at: number, bytes: readonly number[], message: RegExp][] = [
  ["an entry without length", 28, [0, 0], /has 0 bytes/],
  ["an entry of odd length", 28, [0, 14], /has 14 bytes/],
  ["an entry past its piece", 28, [2, 0], /has 512 bytes/],
  ["a name longer than its entry", 6, [0, 5], /a name of 5 bytes in 12/],
  ["a name of 484 bytes", 30, [1, 0xe4], /a name of 484 bytes/],
  ["a name of 300 bytes", 30, [1, 0x2c], /a name of 300 bytes/],
  ["an empty name", 30, [0, 0], /a name of 0 bytes/],
  ["a name with a slash", 32, [0x2f], /no possible name/],
  ["an inode that does not exist", 24, [0, 0, 0xff, 0xff], /inode 65535, where there are 2048/],
];

for (const [what, at, bytes, message] of entryDamages) {
  test(`${what} in a directory is damage`, async () => {
    const image = makeUfsVolume({ root: new Map([["a", "b"]]) });
    image.set(bytes, rootDirectoryAt(image) + at);
    await assert.rejects(async () => (await open(image)).entries("/"), refuses("damaged", message));
  });
}

test("other kinds of UFS are told apart from damage and from other disks", async () => {
  const image = makeUfsVolume({});
  const swapped = image.slice();
  new DataView(swapped.buffer).setUint32(superblock + 1372, 0x0001_1954, true);
  await assert.rejects(open(swapped), refuses("not-supported", /little-endian/));
  const second = new Uint8Array(image.length);
  new DataView(second.buffer).setUint32(65_536 + 1372, 0x1954_0119, true);
  await assert.rejects(open(second), refuses("not-supported", /UFS2/));
  await assert.rejects(open(new Uint8Array(image.length)), refuses("not-this-format", /magic 0x00000000/));
  await assert.rejects(open(new Uint8Array(8192)), refuses("not-this-format", /too few/));
});
