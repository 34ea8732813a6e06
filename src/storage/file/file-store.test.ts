import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Scatter } from "../../memory/index.js";
import { StoreError } from "../index.js";
import { openImage } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-file-"));
after(() => rmSync(folder, { recursive: true }));
const mebi = 1024 * 1024;
const isLinux = process.platform === "linux";

function image(name: string, size: number, where = folder): string {
  const path = join(where, name);
  writeFileSync(path, "");
  truncateSync(path, size);
  return path;
}

const failsWith = (code: StoreError["code"]) => (error: unknown) => error instanceof StoreError && error.code === code;
const usedBytes = (path: string) => statSync(path).blocks * 512;

/** The extents as `[start, length, has data]`, neighbours merged. */
function extentsOf(next: (position: number) => { allocated: boolean; length: number }, size: number) {
  const extents: [number, number, boolean][] = [];
  for (let position = 0; position < size; ) {
    const { allocated, length } = next(position);
    const last = extents.at(-1);
    if (last?.[2] === allocated) last[1] += length;
    else extents.push([position, length, allocated]);
    position += length;
  }
  return extents;
}

describe("file store", () => {
  test("what is written is in the file", async () => {
    const path = image("plain", mebi);
    const store = openImage(path);
    store.write(4096, Scatter.of(new Uint8Array(512).fill(7)), 512);
    await store.flush();
    const content = readFileSync(path);
    assert.deepEqual([content[4095], content[4096], content[4607], content[4608]], [0, 7, 7, 0]);
    assert.equal(content.length, mebi);
    await store.close();
  });

  test("memory that is shared between threads can be read into and written from", () => {
    const store = openImage(image("shared", mebi));
    const shared = new Uint8Array(new SharedArrayBuffer(8192), 512, 4096).fill(5);
    store.write(0, Scatter.of(shared), 4096);
    shared.fill(0);
    store.read(0, Scatter.of(shared), 4096);
    assert.ok(shared.every((byte) => byte === 5));
    store.close();
  });

  test("closing while a flush is under way waits for it; closing twice is nothing", async () => {
    const store = openImage(image("flush", mebi));
    store.write(0, Scatter.of(new Uint8Array(mebi)), mebi);
    const flushed = store.flush();
    await Promise.all([store.close(), flushed]);
    assert.equal(store.close(), undefined);
  });

  test("a file that was cut behind our back is a changed-size error, and the rest stays readable", () => {
    const path = image("cut", mebi);
    const store = openImage(path);
    truncateSync(path, 4096 + 100);
    const target = Scatter.of(new Uint8Array(4096));
    assert.throws(() => store.read(4096, target, 4096), failsWith("changed-size"));
    assert.throws(() => store.read(mebi - 512, target, 512), failsWith("changed-size"));
    assert.equal(store.read(0, target, 4096), undefined);
    assert.ok(store.extentAt(mebi - 512).length > 0);
    store.close();
  });

  test("a store opened read-only refuses to change anything, by name", () => {
    const store = openImage(image("ro", mebi), { readOnly: true });
    assert.throws(() => store.write(0, Scatter.of(new Uint8Array(512)), 512), failsWith("read-only"));
    assert.throws(() => store.discard(0, 512), failsWith("read-only"));
    assert.throws(() => store.writeZeroes(0, 512, false), failsWith("read-only"));
    assert.equal(store.flush(), undefined);
    store.close();
  });
});

describe("holes", { skip: !isLinux && "fallocate and SEEK_HOLE are Linux's" }, () => {
  test("discard gives space back, writeZeroes keeps it when asked to", () => {
    const path = image("holes", 4 * mebi);
    const store = openImage(path);
    store.write(0, Scatter.of(new Uint8Array(4 * mebi).fill(1)), 4 * mebi);
    const full = usedBytes(path);
    store.writeZeroes(0, mebi, true);
    assert.ok(usedBytes(path) >= full);
    store.writeZeroes(mebi, mebi, false);
    store.discard(2 * mebi, mebi);
    assert.ok(usedBytes(path) <= full - 2 * mebi);
    const target = Scatter.of(new Uint8Array(4 * mebi));
    store.read(0, target, 4 * mebi);
    const bytes = target.toBytes();
    assert.deepEqual([bytes[0], bytes[mebi], bytes[3 * mebi - 1], bytes[3 * mebi]], [0, 0, 0, 1]);
    assert.equal(statSync(path).size, 4 * mebi);
    store.close();
  });

  const hasQemuImg = spawnSync("qemu-img", ["--version"]).status === 0;
  test("extents are those that qemu-img map sees", { skip: !hasQemuImg && "qemu-img is not installed" }, () => {
    const path = image("extents", 8 * mebi);
    const store = openImage(path);
    const piece = Scatter.of(new Uint8Array(256 * 1024).fill(1));
    for (const position of [0, mebi, mebi + 256 * 1024, 5 * mebi, 8 * mebi - 256 * 1024]) {
      store.write(position, piece, piece.byteLength);
    }
    store.discard(mebi, 64 * 1024);
    const ours = extentsOf((position) => store.extentAt(position), 8 * mebi);
    store.close();
    const { stdout } = spawnSync("qemu-img", ["map", "-f", "raw", "--output=json", path], { encoding: "utf8" });
    const map = JSON.parse(stdout) as { start: number; length: number; data: boolean }[];
    const theirs = extentsOf((position) => {
      const entry = map.find(({ start, length }) => position >= start && position < start + length);
      assert.ok(entry);
      return { allocated: entry.data, length: entry.start + entry.length - position };
    }, 8 * mebi);
    assert.deepEqual(ours, theirs);
    assert.equal(ours.filter(([, , data]) => data).length, 4);
  });
});

describe("other file systems and devices", () => {
  const tmpfs = join(folder, "tmpfs");
  mkdirSync(tmpfs);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", tmpfs]).status === 0;
  after(() => mounted && spawnSync("umount", [tmpfs]));
  const skip = !mounted && "a tmpfs cannot be mounted here";

  test("a full file system is a no-space error, and the image can still be read", { skip }, () => {
    const path = image("full", 64 * mebi, tmpfs);
    const store = openImage(path);
    const all = Scatter.of(new Uint8Array(4 * mebi).fill(1));
    assert.throws(() => store.write(0, all, all.byteLength), failsWith("no-space"));
    store.read(0, all, 4096);
    store.close();
    rmSync(path);
  });

  test("where a range cannot be zeroed with its space kept, zeros are written", { skip }, async () => {
    const path = image("zero", mebi, tmpfs);
    const store = openImage(path);
    await store.writeZeroes(0, mebi, true);
    assert.ok(usedBytes(path) >= mebi);
    const target = Scatter.of(new Uint8Array(mebi).fill(9));
    store.read(0, target, mebi);
    assert.ok(target.toBytes().every((byte) => byte === 0));
    await store.close();
    rmSync(path);
  });

  const loop = attachLoop();
  after(() => loop && spawnSync("losetup", ["-d", loop]));
  test("a block device is a disk of its size", { skip: !loop && "no loop device can be attached here" }, async () => {
    const store = openImage(loop as string);
    assert.equal(store.byteLength, 4 * mebi);
    store.write(mebi, Scatter.of(new Uint8Array(8192).fill(4)), 8192);
    await store.writeZeroes(mebi + 100, 700, true);
    await store.discard(mebi + 4096, 4096);
    await store.flush();
    const target = Scatter.of(new Uint8Array(8192));
    store.read(mebi, target, 8192);
    const bytes = target.toBytes();
    assert.deepEqual([bytes[99], bytes[100], bytes[799], bytes[800], bytes[4096]], [4, 0, 0, 4, 0]);
    await store.close();
  });
});

/** Attaches a file of 4 MiB to a loop device, where one is allowed to. */
function attachLoop(): string | undefined {
  if (!existsSync("/dev/loop-control")) return undefined;
  const run = spawnSync("losetup", ["--find", "--show", image("loop", 4 * mebi)], { encoding: "utf8" });
  return run.status === 0 ? run.stdout.trim() : undefined;
}
