/**
 * A file system that `makefs` made is copied onto slices of a disk that `parted` labelled, through Amix's raw device (2 KB
 * a command) and through its block device; the machine goes down and comes up, and both slices list what was made.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AmixRig, amixRig, type RigSpec } from "../../src/os/amix/amix-rig.test.js";
import { AmixFiles, type AmixSlice, Errno, SliceBlocks, sliceName } from "../../src/os/index.js";
import { openImage } from "../../src/storage/file/index.js";
import { seededRandom } from "../../src/testing/index.js";
import { after, before, test } from "./limited-test.js";
import { startGrub, whyNoGrub } from "./linux/grub-fstest.js";
import { findProgram } from "./linux/guest.js";

const missing = ["makefs", "parted"].find((program) => findProgram(program) === undefined);
const skip = missing === undefined ? {} : { skip: `${missing} is not installed` };
const noGrub = whyNoGrub();
const diskBytes = 12 << 20;

let folder = "";
let volume = new Uint8Array(0);
before(() => {
  if (missing !== undefined) return;
  folder = mkdtempSync(join(tmpdir(), "ringside-amix-"));
  const source = join(folder, "source");
  const random = seededRandom(91);
  mkdirSync(join(source, "usr", "bin"), { recursive: true });
  for (const size of [0, 1, 511, 2048, 8192, 100_001, 900_000]) {
    const bytes = Uint8Array.from({ length: size }, () => random.below(256));
    writeFileSync(join(source, "usr", "bin", `size${size}`), bytes);
  }
  writeFileSync(join(source, "unix"), "the kernel\n");
  symlinkSync("usr/bin/size511", join(source, "link"));
  const image = join(folder, "volume.img");
  execFileSync("makefs", ["-t", "ffs", "-B", "be", "-o", "version=1,bsize=8192,fsize=1024", image, source]);
  // A slice is a whole number of cylinders.
  truncateSync(image, Math.ceil(statSync(image).size / 65_536) * 65_536);
  volume = new Uint8Array(readFileSync(image));
});
after(() => {
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
});

/** A disk with two slices that are large enough. */
function labelledDisk(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  truncateSync(path, diskBytes);
  const blocks = volume.length / 512;
  const first = 512;
  const second = first + blocks + 128;
  const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin`, LC_ALL: "C.UTF-8" };
  for (const words of [
    ["mklabel", "amiga"],
    ["mkpart", "ROOT", "affs1", `${first}s`, `${first + blocks - 1}s`],
    ["mkpart", "HOME", "affs1", `${second}s`, `${second + blocks - 1}s`],
  ]) {
    const { status, stderr } = spawnSync("parted", ["-s", path, ...words], { env, encoding: "utf8" });
    assert.equal(status, 0, stderr);
  }
  return path;
}

/** Everything below a folder of the host, and of a slice: path, type, size and content. */
async function comparePath(files: AmixFiles, slice: AmixSlice, path: string): Promise<number> {
  const local = join(folder, "source", path);
  const entries = await files.list(`${sliceName(slice)}:${path}`);
  assert.deepEqual(entries.map(({ name }) => name).sort(), readdirSync(local).sort());
  let count = entries.length;
  for (const { name, type, size } of entries) {
    if (type === "directory") count += await comparePath(files, slice, `${path}${name}/`);
    if (type !== "file") continue;
    assert.equal(size, statSync(join(local, name)).size);
    const pieces: Uint8Array[] = [];
    for await (const piece of files.content(`${sliceName(slice)}:${path}${name}`)) pieces.push(piece.slice());
    assert.ok(Buffer.concat(pieces).equals(readFileSync(join(local, name))), name);
  }
  return count;
}

const machines: readonly [name: string, card: number, spec: (image: string) => RigSpec][] = [
  ["A4000 + A4091, strict", 0, (image) => ({ profile: "strict", boards: [{ disks: { 6: openImage(image) } }] })],
  ["A4000 + A4091, extended", 0, (image) => ({ boards: [{ disks: { 6: openImage(image) } }] })],
  ["A3000, extended", 0, (image) => ({ board: "a3000", onboard: { 6: openImage(image) } })],
  ["A3000 + A4091 as card 1", 1, (image) => ({ board: "a3000", boards: [{ disks: { 6: openImage(image) } }] })],
];

for (const [name, card, spec] of machines) {
  test(
    `5.8 ${name}: copied in through the raw and the block device, down and up again, lists equal`,
    skip,
    async (t) => {
      const image = labelledDisk(`${name.replaceAll(/\W+/g, "-")}.img`);
      const root = { card, unit: 6, slice: 1 };
      const home = { card, unit: 6, slice: 2 };
      const start = async (): Promise<AmixRig> => {
        const rig = await amixRig({ adapter: { busSettle: 0 }, ...spec(image) });
        for (const slice of [root, home]) assert.equal(await rig.kernel.disks.open(slice), Errno.None);
        return rig;
      };
      const first = await start();
      const before = first.events.length;
      assert.deepEqual(await first.kernel.raw.write(root, 0, volume), { errno: Errno.None, count: volume.length });
      const writes = first.events
        .slice(before)
        .filter(({ fields }) => /^WRITE\(10\)/.test(String(fields["cdb"]))).length;
      assert.equal(writes, volume.length / 2048, "a command for each 2 KB");
      const blocks = new SliceBlocks(first.kernel.disks, first.machine.dma, home);
      for (let at = 0; at < volume.length; at += 8192) await blocks.write(at / 512, volume.subarray(at, at + 8192));
      await first.close();

      const again = await start();
      const files = new AmixFiles(again.kernel);
      for (const slice of [root, home]) assert.ok((await comparePath(files, slice, "/")) > 8);
      const [{ inode }] = await files.list(`${sliceName(root)}:/unix`);
      assert.equal((await files.list(`${sliceName(home)}:/unix`))[0].inode, inode);
      await again.close();
      const bytes = readFileSync(image);
      const { start: at } = placeOf(again, root);
      assert.ok(bytes.subarray(at * 512, at * 512 + volume.length).equals(volume), "the image has it");

      await t.test("GRUB's ufs1_be lists the slice too", noGrub === undefined ? {} : { skip: noGrub }, () => {
        const copy = join(folder, "slice.img");
        writeFileSync(copy, bytes.subarray(at * 512, at * 512 + volume.length));
        const grub = startGrub();
        try {
          assert.deepEqual(grub.list(copy, "/usr/bin").sort(), readdirSync(join(folder, "source/usr/bin")).sort());
        } finally {
          grub.close();
        }
      });
    },
  );
}

function placeOf({ kernel }: AmixRig, slice: AmixSlice): { start: number; blocks: number } {
  const place = kernel.disks.placeOf(slice);
  assert.ok(place !== undefined);
  return place;
}
