import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { NativeBuffer } from "../../linux/index.js";
import { MemoryRegion, Scatter } from "../../memory/index.js";
import { MappedPages } from "./mapped-pages.js";

const skip = process.platform !== "linux" || process.arch !== "x64" ? "files are mapped on x86-64 Linux only" : false;
const chunk = 2 << 20;
const content = Uint8Array.from({ length: 2 * chunk }, (_, index) => (index * 31 + (index >> 12)) & 0xff);

/** Two chunks that the page cache has, mapped, and memory to read them into. */
function mappedFile(t: TestContext): { pages: MappedPages; target: Scatter } {
  const folder = mkdtempSync(join(tmpdir(), "ringside-mapped-"));
  const path = join(folder, "disk.img");
  writeFileSync(path, content, { flush: true });
  readFileSync(path);
  const fd = openSync(path, "r+");
  const pages = MappedPages.open(fd, content.length, true);
  const memory = new NativeBuffer(64 << 10);
  t.after(() => {
    pages?.close();
    closeSync(fd);
    rmSync(folder, { recursive: true });
  });
  assert.ok(pages !== undefined);
  const region = new MemoryRegion(0, memory.bytes, { nativeAddress: Number(memory.address) });
  const target = new Scatter();
  target.push(region, 0, 64 << 10);
  return { pages, target };
}

function learn(pages: MappedPages, position: number, hits: number): void {
  for (let count = 0; count < hits; count++) pages.learn(position, true);
}

test("a part of a file is read from the mapping after eight reads there in a row that did not wait", { skip }, (t) => {
  const { pages, target } = mappedFile(t);
  const reads = () => pages.read(8192, target, 4096);
  assert.equal(reads(), false);
  learn(pages, 4096, 7);
  assert.equal(reads(), false, "seven");
  pages.learn(1 << 20, false);
  pages.learn(4096, true);
  assert.equal(reads(), false, "one that waited makes it begin again");
  learn(pages, 4096, 7);
  assert.equal(reads(), true);
  assert.deepEqual(target.toBytes().subarray(0, 4096), content.subarray(8192, 8192 + 4096));
});

test("what is known of one part is not believed of the next", { skip }, (t) => {
  const { pages, target } = mappedFile(t);
  learn(pages, 0, 8);
  assert.equal(pages.read(0, target, 4096), true);
  assert.equal(pages.read(chunk, target, 4096), false);
  assert.equal(pages.read(chunk - 2048, target, 4096), false, "half in one, half in the other");
  learn(pages, chunk, 8);
  assert.equal(pages.read(chunk - 2048, target, 4096), true);
  assert.deepEqual(target.toBytes().subarray(0, 4096), content.subarray(chunk - 2048, chunk + 2048));
});

test("large reads, and reads after closing, go another way", { skip }, (t) => {
  const { pages, target } = mappedFile(t);
  learn(pages, 0, 8);
  assert.equal(pages.read(0, target, 32 << 10), true);
  assert.equal(pages.read(0, target, (32 << 10) + 512), false);
  pages.close();
  assert.equal(pages.read(0, target, 4096), false);
});
