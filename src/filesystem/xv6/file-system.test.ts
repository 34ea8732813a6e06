import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../testing/index.js";
import { makeXv6Image } from "../../testing/xv6-mkfs.js";
import { FileSystemError, type Xv6BlockReader, Xv6FileSystem, xv6BlockSize } from "../index.js";

const random = seededRandom(3);
const bytesOf = (length: number) => Uint8Array.from({ length }, () => random.below(256));
const big = bytesOf(268 * 1024);
const thirteen = bytesOf(12 * 1024 + 1);
const image = makeXv6Image({
  root: new Map<string, never>(
    Object.entries({
      "README.txt": "hello from xv6\n",
      empty: "",
      big,
      thirteen,
      exactlyfourtee: "all fourteen bytes",
      console: { major: 1, minor: 0 },
      bin: new Map(Object.entries({ inner: new Map([["deep", "deep down"]]), sh: bytesOf(5000) })),
      many: new Map(Array.from({ length: 100 }, (_, index) => [`file${index}`, `${index}`])),
    }) as never,
  ),
});

/** Reads blocks of an image; what lies outside rejects, which the reader may never ask for. */
function readerOf(bytes: Uint8Array, blocks: number | undefined = bytes.length / xv6BlockSize) {
  const reader: Xv6BlockReader & { reads: number } = {
    reads: 0,
    blocks,
    async readBlock(block) {
      reader.reads++;
      if (!(block >= 0 && (block + 1) * xv6BlockSize <= bytes.length)) throw new RangeError(`block ${block}`);
      return bytes.slice(block * xv6BlockSize, (block + 1) * xv6BlockSize);
    },
  };
  return reader;
}

const open = (bytes = image) => Xv6FileSystem.open(readerOf(bytes));

test("the superblock says what is where", async () => {
  const { superblock } = await open();
  assert.deepEqual(superblock, {
    ...{ magic: 0x10203040, size: 2000, dataBlocks: 2000 - 46, inodes: 200 },
    ...{ logBlocks: 30, logStart: 2, inodeStart: 32, bitmapStart: 45 },
  });
});

test("a directory lists its names, itself and its parent; one of several blocks too", async () => {
  const fs = await open();
  const root = await fs.lookup("/");
  assert.deepEqual(
    (await fs.list(root)).map(({ name }) => name),
    [".", "..", "README.txt", "empty", "big", "thirteen", "exactlyfourtee", "console", "bin", "many"],
  );
  const many = await fs.lookup("many");
  assert.equal((await fs.list(many)).length, 102);
  assert.equal(many.size, 2048);
  assert.equal((await fs.lookup("bin/inner/../..")).number, 1);
});

test("files of every kind of length read whole: none, direct blocks, the first indirect one, the longest", async () => {
  const fs = await open();
  assert.equal(new TextDecoder().decode(await fs.readFile("README.txt")), "hello from xv6\n");
  assert.equal((await fs.readFile("/empty")).length, 0);
  assert.deepEqual(await fs.readFile("/thirteen"), thirteen);
  assert.deepEqual(await fs.readFile("//big/"), big);
  assert.equal(new TextDecoder().decode(await fs.readFile("/bin/inner/deep")), "deep down");
  assert.equal(new TextDecoder().decode(await fs.readFile("/exactlyfourteen and more")), "all fourteen bytes");
});

test("a device is told with its numbers", async () => {
  const { type, major, minor, size } = await (await open()).lookup("console");
  assert.deepEqual({ type, major, minor, size }, { type: "device", major: 1, minor: 0, size: 0 });
});

test("what is not there, is no directory or no file is refused in one line", async () => {
  const fs = await open();
  const refused: [() => Promise<unknown>, FileSystemError["code"], RegExp][] = [
    [() => fs.lookup("/bin/none"), "not-found", /^\/bin\/none: there is no such file$/],
    [() => fs.lookup("/README.txt/x"), "not-a-directory", /^\/README.txt is no directory$/],
    [() => fs.readFile("/bin"), "not-a-file", /^\/bin is a directory$/],
    [() => fs.readFile("/console"), "not-a-file", /is a device/],
  ];
  for (const [act, code, message] of refused) {
    await assert.rejects(act(), (error: FileSystemError) => {
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("another disk is told apart from a damaged file system", async () => {
  const is = (code: FileSystemError["code"]) => (error: FileSystemError) => error.code === code;
  await assert.rejects(open(new Uint8Array(4096)), is("not-this-format"));
  await assert.rejects(open(new Uint8Array(1024)), is("not-this-format"));
  await assert.rejects(open(image.slice(0, 1000 * 1024)), is("damaged"));
});

/** Offsets in the superblock, and in inode 1. */
const superblockAt = 1024;
const rootInodeAt = 32 * 1024 + 64;

test("numbers that lead outside are damage: areas, inodes, types, sizes, block numbers", async () => {
  const damage: [number, number, RegExp][] = [
    [superblockAt + 4, 0xffffffff, /4294967295 blocks, the disk 2000/],
    [superblockAt + 12, 0xffffffff, /do not follow each other/],
    [superblockAt + 24, 0, /do not follow each other/],
    [superblockAt + 28, 2000, /do not follow each other/],
    [superblockAt + 12, 1, /no root directory/],
    [rootInodeAt, 9, /type 9/],
    [rootInodeAt + 8, 0x7fffffff, /says that it has 2147483647 bytes/],
    [rootInodeAt + 8, 1023, /no whole number of entries/],
    [rootInodeAt + 12, 5, /names block 5/],
    [rootInodeAt + 12, 2000, /names block 2000/],
    [rootInodeAt + 12, 0, /names block 0/],
  ];
  for (const [at, value, message] of damage) {
    const broken = image.slice();
    new DataView(broken.buffer).setUint32(at, value, true);
    const look = async () => (await open(broken)).lookup("/README.txt");
    await assert.rejects(look, (error: Error) => error instanceof FileSystemError && message.test(error.message));
  }
});

test("any damage ends: within a bounded number of reads, with an answer or a FileSystemError", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat({ max: 48 * 1024 - 1 }), fc.integer({ min: 0, max: 255 })), { maxLength: 40 }),
      fc.boolean(),
      async (changes, sized) => {
        const broken = image.slice();
        for (const [at, value] of changes) broken[at] = value;
        const reader = readerOf(broken, sized ? undefined : broken.length / xv6BlockSize);
        try {
          const fs = await Xv6FileSystem.open(reader);
          await fs.readFile("/bin/inner/deep");
          await fs.readFile("/big");
        } catch (error) {
          // Without a known size a disk ends where its reader says so.
          if (!(error instanceof FileSystemError) && !(sized && error instanceof RangeError)) throw error;
        }
        assert.ok(reader.reads < 4000, `${reader.reads} reads`);
      },
    ),
    { numRuns: 200 },
  );
});
