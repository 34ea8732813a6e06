import assert from "node:assert/strict";
import { test } from "node:test";
import { blockReaderOf } from "../testing/block-reader-of.js";
import { makeUfsVolume, makeXv6Image } from "../testing/index.js";
import { makeAffsVolume } from "./affs/make-volume.js";
import { FileSystemError, listPath, openFileSystem, readWhole } from "./index.js";

const root = new Map([["file", "content"]]);
const volumes: readonly [type: string, bytes: Uint8Array][] = [
  ["UFS1", makeUfsVolume({ root })],
  ["DOS\\3", makeAffsVolume({ dosType: 0x444f5303, root })],
  ["xv6", makeXv6Image({ root })],
];

for (const [type, bytes] of volumes) {
  test(`${type} is recognised, in the middle of a disk with blocks of 1024 bytes too`, async () => {
    const disk = new Uint8Array(bytes.length + 20 * 1024).fill(0xff);
    disk.set(bytes, 10 * 1024);
    const inside = { firstBlock: 10, blocks: bytes.length / 1024 };
    for (const open of [
      () => openFileSystem(blockReaderOf(bytes, 512)),
      () => openFileSystem(blockReaderOf(disk, 1024), inside),
    ]) {
      const fileSystem = await open();
      assert.equal(fileSystem.volume.type, type);
      assert.deepEqual(
        (await listPath(fileSystem, "")).map(({ name, type, size }) => [name, type, size]),
        [["file", "file", 7]],
      );
      assert.deepEqual(
        (await listPath(fileSystem, "/file")).map(({ name }) => name),
        ["file"],
      );
      assert.equal(new TextDecoder().decode(await readWhole(fileSystem, "file")), "content");
      await assert.rejects(readWhole(fileSystem, "file", 6), /file has more than 6 bytes/);
    }
  });
}

test("a disk without any of them is refused; one that is recognised and damaged is not taken for none", async () => {
  const open = (bytes: Uint8Array) => openFileSystem(blockReaderOf(bytes, 512));
  const is = (code: FileSystemError["code"]) => (error: Error) =>
    error instanceof FileSystemError && error.code === code;
  await assert.rejects(open(new Uint8Array(1 << 20)), is("not-this-format"));
  await assert.rejects(open(new Uint8Array(0)), is("not-this-format"));
  const damaged = makeUfsVolume({ root });
  new DataView(damaged.buffer).setUint32(8192 + 48, 3);
  await assert.rejects(open(damaged), is("damaged"));
});

test("names from a disk cannot break the line that tells of them", async () => {
  const fileSystem = await openFileSystem(blockReaderOf(makeUfsVolume({ root }), 512));
  await assert.rejects(
    fileSystem.stat("a\nb\u001b[2J\u202e"),
    /^FileSystemError: \/a\?b\?\[2J\?: there is no such file$/,
  );
});
