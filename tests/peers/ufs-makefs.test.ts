/** UFS volumes that `makefs` made, file by file against the folder that they were made of, and against GRUB's driver. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readWhole, UfsFileSystem } from "../../src/filesystem/index.js";
import { blockReaderOf } from "../../src/testing/block-reader-of.js";
import { seededRandom } from "../../src/testing/index.js";
import { after, before, test } from "./limited-test.js";
import { startGrub, whyNoGrub } from "./linux/grub-fstest.js";
import { findProgram } from "./linux/guest.js";

const missing = findProgram("makefs") === undefined ? "makefs is not installed" : undefined;
const options = missing === undefined ? {} : { skip: missing };
const noGrub = whyNoGrub();

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-makefs-"));
  makeSource(join(folder, "source"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const shapes = [
  { bsize: 4096, fsize: 512, extra: "" },
  { bsize: 8192, fsize: 1024, extra: "" },
  { bsize: 8192, fsize: 8192, extra: "" },
  { bsize: 16_384, fsize: 4096, extra: ",optimization=space" },
  { bsize: 65_536, fsize: 8192, extra: "" },
] as const;

/** Thousands of files, of every length around blocks and fragments; links; a file with two levels of indirect blocks. */
function makeSource(source: string): void {
  const random = seededRandom(77);
  const bytes = (length: number) => Uint8Array.from({ length }, () => random.below(256));
  mkdirSync(join(source, "deep", "er", "still"), { recursive: true });
  mkdirSync(join(source, "many"));
  mkdirSync(join(source, "none"));
  for (let index = 0; index < 3000; index++)
    writeFileSync(join(source, "many", `file-${index}`), `content of ${index}\n`);
  for (const size of [512, 1024, 4096, 8192, 12 * 4096, 12 * 8192, 16_384, 65_536, 12 * 65_536]) {
    for (const length of [size - 1, size, size + 1])
      writeFileSync(join(source, "deep", `size${length}`), bytes(length));
  }
  writeFileSync(join(source, "empty"), "");
  writeFileSync(join(source, "deep", "er", "still", "large"), bytes(9 << 20));
  writeFileSync(join(source, "n".repeat(255)), "a long name");
  writeFileSync(join(source, "ümläut"), "a name in UTF-8");
  symlinkSync("many/file-7", join(source, "short"));
  symlinkSync(`${"deep/../".repeat(12)}deep/size513`, join(source, "long"));
  symlinkSync("/deep/er", join(source, "absolute"));
  for (const length of [59, 60, 61]) symlinkSync("x".repeat(length), join(source, `link${length}`));
  linkSync(join(source, "deep", "size513"), join(source, "deep", "er", "hard"));
}

for (const { bsize, fsize, extra } of shapes) {
  test(`makefs, blocks of ${bsize}, fragments of ${fsize}${extra}: every file is as it was`, options, async (t) => {
    const source = join(folder, "source");
    const image = join(folder, `${bsize}-${fsize}${extra.length}.img`);
    const option = `version=1,bsize=${bsize},fsize=${fsize}${extra}`;
    execFileSync("makefs", ["-t", "ffs", "-B", "be", "-o", option, image, source]);
    // As a partition within a disk.
    const volume = readFileSync(image);
    const disk = new Uint8Array(64 * 512 + volume.length + 512).fill(0xee);
    disk.set(volume, 64 * 512);
    const reader = blockReaderOf(disk, 512);
    const fileSystem = await UfsFileSystem.open(reader, { firstBlock: 64, blocks: volume.length / 512 });
    assert.equal(fileSystem.volume.blockSize, bsize);
    assert.equal(fileSystem.geometry.directoryFormat, "4.4bsd");
    const count = await compareFolder(fileSystem, source, "");
    assert.ok(count > 3000, `${count} files`);
    assert.ok(reader.calls < 6 * count, `${reader.calls} reads for ${count} files`);
    assert.deepEqual(await fileSystem.entries("absolute"), await fileSystem.entries("deep/er"));
    assert.deepEqual(await readWhole(fileSystem, "long"), await readWhole(fileSystem, "deep/er/hard"));
    assert.equal((await fileSystem.stat("deep/er/hard")).inode, (await fileSystem.stat("deep/size513")).inode);

    await t.test("GRUB's ufs1_be agrees", noGrub === undefined ? {} : { skip: noGrub }, () =>
      compareWithGrub(fileSystem, image),
    );
    rmSync(image);
  });
}

/** @returns entries that were compared */
async function compareFolder(fileSystem: UfsFileSystem, source: string, path: string): Promise<number> {
  const entries = await fileSystem.entries(path);
  const names = entries.map(({ name }) => name);
  assert.deepEqual(names.sort(), readdirSync(join(source, path)).sort(), path);
  let count = entries.length;
  for (const { name, type, size, modified, target } of entries) {
    const own = `${path}/${name}`;
    const local = join(source, own);
    const facts = lstatSync(local);
    assert.equal(modified?.getTime(), Math.floor(facts.mtimeMs / 1000) * 1000, own);
    if (type === "directory") {
      assert.ok(facts.isDirectory(), own);
      count += await compareFolder(fileSystem, source, own);
    } else if (type === "link") {
      assert.equal(target, readlinkSync(local));
      assert.equal(size, facts.size);
    } else {
      assert.equal(size, facts.size, own);
      assert.ok(readFileSync(local).equals(await readWhole(fileSystem, own)), own);
    }
  }
  return count;
}

/**
 * Names everywhere, and files of up to twelve blocks: GRUB 2.06 does not turn addresses in indirect blocks round, and reads
 * link texts one byte too short.
 */
async function compareWithGrub(fileSystem: UfsFileSystem, image: string): Promise<void> {
  const grub = startGrub();
  try {
    const most = 12 * fileSystem.volume.blockSize;
    for (const path of ["/many", "/deep", "/deep/er", "/none"]) {
      if ((await fileSystem.stat(path)).size > most) continue;
      const names = (await fileSystem.entries(path)).map(({ name, type }) =>
        type === "directory" ? `${name}/` : name,
      );
      assert.deepEqual(grub.list(image, path).sort(), names.sort());
    }
    let compared = 0;
    for (const { name, size } of await fileSystem.entries("/deep")) {
      if (!name.startsWith("size") || size > most) continue;
      assert.ok(grub.cat(image, `/deep/${name}`).equals(await readWhole(fileSystem, `/deep/${name}`)), name);
      compared++;
    }
    assert.ok(compared > 10);
  } finally {
    grub.close();
  }
}
