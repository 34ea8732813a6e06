import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createMemoryFile, IoUring, libcFunction, SharedMapping } from "../../linux/index.js";
import { MemoryRegion, Scatter } from "../../memory/index.js";
import { seededRandom } from "../../testing/index.js";
import { openImage } from "./open-image.js";

const advise = libcFunction("int posix_fadvise(int, int64_t, int64_t, int)");
const dontNeed = 4;
const size = 8 << 20;

let folder = "";
let path = "";
let content: Uint8Array;
let region: MemoryRegion;
const probe = IoUring.open(4);
probe?.close();
const options = probe === undefined ? { skip: "io_uring is not to be had here" } : {};

before(() => {
  // Beside the compiled code: a folder in memory would have nothing to read from a medium.
  folder = mkdtempSync(join(process.env["RINGSIDE_DISK_FOLDER"] ?? tmpdir(), "ringside-lanes-"));
  path = join(folder, "disk.img");
  const random = seededRandom(3);
  content = Uint8Array.from({ length: size }, () => random.below(256));
  writeFileSync(path, content, { flush: true });
  const descriptor = createMemoryFile("lanes", 4 << 20);
  const mapping = new SharedMapping(descriptor, 4 << 20);
  closeSync(descriptor);
  region = new MemoryRegion(0, mapping.bytes, { shared: true, nativeAddress: mapping.address });
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Makes the page cache forget the file, as far as the file system does that. */
function forget(): void {
  const fd = openSync(path, "r");
  advise()(fd, 0, 0, dontNeed);
  closeSync(fd);
}

function scatterOf(pieces: readonly (readonly [offset: number, length: number])[]): Scatter {
  const scatter = new Scatter();
  for (const [offset, length] of pieces) scatter.push(region, offset, length);
  return scatter;
}

test("reads from a cold and from a warm file give the file's bytes, one piece or many", options, async () => {
  const store = openImage(path, { readOnly: true, lanes: true });
  const random = seededRandom(11);
  let slow = 0;
  for (let round = 0; round < 200; round++) {
    if (round < 100 && round % 20 === 0) forget();
    if (round === 100) readFileSync(path);
    const pieces: [number, number][] = [];
    let offset = random.below(1000);
    for (let piece = 1 + random.below(8); piece > 0; piece--) {
      const length = 1 + random.below(9000);
      pieces.push([offset, length]);
      offset += length + random.below(300);
    }
    const scatter = scatterOf(pieces);
    const length = 1 + random.below(scatter.byteLength);
    const position = random.below(size - length);
    const answer = store.read(position, scatter, length);
    if (answer !== undefined) slow++;
    await answer;
    assert.deepEqual(scatter.toBytes().subarray(0, length), content.subarray(position, position + length));
  }
  assert.ok(slow <= 110, `what is cached answers at once: ${slow} of 200 did not`);
  await store.close();
});

test("many slow reads are under way at once, more than the ring has places", options, async () => {
  const store = openImage(path, { readOnly: true, lanes: true });
  forget();
  const count = 700;
  const reads = Array.from({ length: count }, (_, index) => {
    const position = (index * 10_007 * 512) % (size - 4096);
    const scatter = scatterOf([[index * 4096, 4096]]);
    return { position, scatter, answer: store.read(position, scatter, 4096) };
  });
  await Promise.all(reads.map(({ answer }) => answer));
  for (const { position, scatter } of reads) {
    assert.deepEqual(scatter.toBytes(), content.subarray(position, position + 4096));
  }
  await store.close();
});

test("closing waits for reads that are under way", options, async () => {
  const store = openImage(path, { readOnly: true, lanes: true });
  forget();
  const scatter = scatterOf([[0, 65536]]);
  const answer = store.read(1 << 20, scatter, 65536);
  const closed = store.close();
  await answer;
  await closed;
  assert.deepEqual(scatter.toBytes(), content.subarray(1 << 20, (1 << 20) + 65536));
});

test("a file that became shorter is an error of the request, not the end of the process", options, async () => {
  const short = join(folder, "short.img");
  writeFileSync(short, content.subarray(0, 1 << 20));
  const store = openImage(short, { readOnly: true, lanes: true, lock: false });
  truncateSync(short, 4096);
  await assert.rejects(
    async () => store.read(512 * 1024, scatterOf([[0, 4096]]), 4096),
    (error: { code?: string }) => error.code === "changed-size",
  );
  await store.close();
});

test("memory without a known address is read into the other way", async () => {
  const store = openImage(path, { readOnly: true, lanes: true });
  const bytes = new Uint8Array(4096);
  assert.equal(store.read(8192, Scatter.of(bytes), 4096), undefined);
  assert.deepEqual(bytes, content.subarray(8192, 8192 + 4096));
  await store.close();
});
