import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createMemoryFile, IoUring, libcFunction, SharedMapping } from "../../linux/index.js";
import { MemoryRegion, Scatter } from "../../memory/index.js";
import { seededRandom } from "../../testing/index.js";
import { StoreError } from "../store.js";
import { FileLanes } from "./file-lanes.js";
import { FileStore } from "./file-store.js";
import { ImageError } from "./image-error.js";
import { type OpenImageOptions, openImage } from "./open-image.js";

const advise = libcFunction("int posix_fadvise(int, int64_t, int64_t, int)");
const dontNeed = 4;
const size = 8 << 20;
const memorySize = 4 << 20;

let folder = "";
let path = "";
let content: Uint8Array;
let region: MemoryRegion;
const probe = IoUring.open(4);
probe?.close();
const noMapping =
  process.platform !== "linux" || process.arch !== "x64" ? "files are mapped on x86-64 Linux only" : false;
const uringOptions = probe === undefined ? { skip: "io_uring is not to be had here" } : {};

before(() => {
  // A folder in memory would have nothing to read from a medium.
  folder = mkdtempSync(join(process.env["RINGSIDE_DISK_FOLDER"] ?? tmpdir(), "ringside-lanes-"));
  path = join(folder, "disk.img");
  const random = seededRandom(3);
  content = Uint8Array.from({ length: size }, () => random.below(256));
  writeFileSync(path, content, { flush: true });
  const descriptor = createMemoryFile("lanes", memorySize);
  const mapping = new SharedMapping(descriptor, memorySize);
  closeSync(descriptor);
  region = new MemoryRegion(0, mapping.bytes, { shared: true, nativeAddress: mapping.address });
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Makes the page cache forget a file, as far as the file system does that. */
function forget(file = path): void {
  const fd = openSync(file, "r");
  advise()(fd, 0, 0, dontNeed);
  closeSync(fd);
}

function scatterOf(pieces: readonly (readonly [offset: number, length: number])[]): Scatter {
  const scatter = new Scatter();
  for (const [offset, length] of pieces) scatter.push(region, offset, length);
  return scatter;
}

/** Pieces at any place of memory, in order. */
function randomPieces(random: ReturnType<typeof seededRandom>, most: number): [number, number][] {
  const pieces: [number, number][] = [];
  let offset = random.below(1000);
  for (let piece = 1 + random.below(most); piece > 0; piece--) {
    const length = 1 + random.below(9000);
    pieces.push([offset, length]);
    offset += length + random.below(300);
  }
  return pieces;
}

/** Opens an image that is closed when the test ends in whatever way: an open one keeps the process from ending. */
function opened(t: TestContext, path: string, options: OpenImageOptions): FileStore {
  const store = openImage(path, options);
  t.after(() => store.close());
  return store;
}

function copyOfImage(name: string): string {
  const copy = join(folder, name);
  writeFileSync(copy, content, { flush: true });
  return copy;
}

const lanes: readonly (readonly [string, OpenImageOptions, { skip?: string }])[] = [
  ["io_uring", { lanes: "io_uring" }, uringOptions],
  ["threads", { lanes: "threads" }, {}],
  ["mapped", { lanes: true, mapped: true }, {}],
  ["io_uring, direct", { lanes: "io_uring", direct: true }, uringOptions],
  ["threads, direct", { lanes: "threads", direct: true }, {}],
];

for (const [name, options, skip] of lanes) {
  const grain = options.direct === true ? 512 : 1;

  describe(name, skip, () => {
    test("reads from a cold and from a warm file give the file's bytes, one piece or many", async (t) => {
      const store = opened(t, path, { ...options, readOnly: true });
      const random = seededRandom(11);
      let slow = 0;
      for (let round = 0; round < 200; round++) {
        if (round < 100 && round % 20 === 0) forget();
        if (round === 100) readFileSync(path);
        const scatter = scatterOf(randomPieces(random, 8));
        const length = Math.ceil((1 + random.below(scatter.byteLength)) / grain) * grain;
        if (length > scatter.byteLength) continue;
        const position = Math.floor(random.below(size - length) / grain) * grain;
        const answer = store.read(position, scatter, length);
        if (answer !== undefined) slow++;
        await answer;
        assert.deepEqual(scatter.toBytes().subarray(0, length), content.subarray(position, position + length));
      }
      if (grain === 1) assert.ok(slow <= 110, `what is cached answers at once: ${slow} of 200 did not`);
      await store.close();
    });

    test("writes to a cold and to a warm file change their bytes and no others", async (t) => {
      const copy = copyOfImage("written.img");
      const expected = content.slice();
      const store = opened(t, copy, options);
      const random = seededRandom(12);
      for (let round = 0; round < 150; round++) {
        if (round % 20 === 0) {
          await store.flush();
          forget(copy);
        }
        const scatter = scatterOf(randomPieces(random, 8));
        scatter.fill(round);
        const length = Math.floor(scatter.byteLength / grain) * grain;
        if (length === 0) continue;
        const position = Math.floor(random.below(size - length) / grain) * grain;
        const answer = store.write(position, scatter, length);
        expected.fill(round, position, position + length);
        await answer;
      }
      await store.flush();
      await store.close();
      assert.ok(Buffer.from(expected).equals(readFileSync(copy)));
    });

    test("memory without a known address is used too, and more pieces than a system call takes", async (t) => {
      const copy = copyOfImage("plain.img");
      const store = opened(t, copy, options);
      const bytes = new Uint8Array(4096);
      await store.read(8192, Scatter.of(bytes), 4096);
      assert.deepEqual(bytes, content.subarray(8192, 8192 + 4096));
      await store.write(16384, Scatter.of(bytes), 4096);
      const many = scatterOf(Array.from({ length: 512 }, (_, index) => [index * 20, 16] as const));
      await store.read(16384, many, 8192);
      assert.deepEqual(many.toBytes().subarray(0, 4096), bytes);
      assert.deepEqual(many.toBytes().subarray(4096), content.subarray(20480, 24576));
      await store.close();
    });

    test("many slow reads are under way at once, more than there are places", async (t) => {
      const store = opened(t, path, { ...options, readOnly: true });
      forget();
      const reads = Array.from({ length: 700 }, (_, index) => {
        const position = (index * 10_007 * 512) % (size - 4096);
        const scatter = scatterOf([[index * 4100, 4096]]);
        return { position, scatter, answer: store.read(position, scatter, 4096) };
      });
      await Promise.all(reads.map(({ answer }) => answer));
      for (const { position, scatter } of reads) {
        assert.deepEqual(scatter.toBytes(), content.subarray(position, position + 4096));
      }
      await store.close();
    });

    test("closing waits for what is under way", async (t) => {
      const store = opened(t, path, { ...options, readOnly: true });
      forget();
      const scatter = scatterOf([[0, 65536]]);
      const answer = store.read(1 << 20, scatter, 65536);
      const closed = store.close();
      await answer;
      await closed;
      assert.deepEqual(scatter.toBytes(), content.subarray(1 << 20, (1 << 20) + 65536));
    });

    test("a file that became shorter is an error of the request that says where, not the end of the process", async (t) => {
      const short = copyOfImage("short.img");
      const store = opened(t, short, { ...options, readOnly: true, lock: false });
      truncateSync(short, 513 * 1024);
      await assert.rejects(
        async () => store.read(512 * 1024, scatterOf([[0, 4096]]), 4096),
        (error) => error instanceof StoreError && error.code === "changed-size" && error.position === 513 * 1024,
      );
      await store.close();
    });

    test("memory that is taken back while a read waits for its turn is not written to", async (t) => {
      const store = opened(t, path, { ...options, readOnly: true });
      forget();
      const reads = Array.from({ length: 400 }, (_, index) => {
        const scatter = scatterOf([[0, 4096]]);
        return { scatter, answer: store.read(((index * 9973) % 2000) * 4096, scatter, 4096) };
      });
      for (const { scatter } of reads) scatter.clear();
      const ends = await Promise.allSettled(reads.map(({ answer }) => answer));
      assert.equal(ends.length, 400);
      await store.close();
    });
  });
}

test("zeros go to the medium directly too, where the file system cannot zero a range", async (t) => {
  const copy = copyOfImage("zeros.img");
  const store = opened(t, copy, { lanes: true, direct: true });
  await store.writeZeroes(512 * 3, 512 * 5000, true);
  await store.flush();
  await store.close();
  const expected = content.slice().fill(0, 512 * 3, 512 * 5003);
  assert.ok(Buffer.from(expected).equals(readFileSync(copy)));
});

test("direct I/O is refused in one line where there is none", () => {
  assert.throws(
    () => openImage("/proc/self/exe", { direct: true, readOnly: true, blockSize: 1, format: "raw", lock: false }),
    (error) => error instanceof ImageError && error.code === "no-direct" && !error.message.includes("\n"),
  );
});

for (const lane of [undefined, "threads", "io_uring"] as const) {
  const skip = lane === "io_uring" ? uringOptions : {};
  test(`flushing that fails is said to be flushing (${lane ?? "no lanes"})`, skip, async (t) => {
    // A character device has nothing that could be written out, and says so.
    const fd = openSync("/dev/null", "r+");
    const lanes = lane === undefined ? undefined : new FileLanes(fd, { path: "null", slowLane: lane });
    const store = new FileStore(fd, { path: "null", byteLength: 4096, isReadOnly: false, lanes });
    t.after(() => store.close());
    await assert.rejects(
      async () => store.flush(),
      (error) => error instanceof StoreError && /flush/.test(error.message) && /EINVAL/.test(error.message),
    );
  });
}

for (const lanes of [false, "threads", "io_uring"] as const) {
  const skip = lanes === "io_uring" ? uringOptions : {};
  test(
    `two flushes run at once; those that come meanwhile share the next, which begins after them (${lanes})`,
    skip,
    async (t) => {
      const store = opened(t, copyOfImage("flushed.img"), { lanes });
      const [first, second, third, fourth] = [store.flush(), store.flush(), store.flush(), store.flush()];
      assert.equal(new Set([first, second, third]).size, 3);
      assert.equal(fourth, third);
      let isFirstDone = false;
      void Promise.race([first, second]).then(() => {
        isFirstDone = true;
      });
      await third;
      assert.ok(isFirstDone, "what is shared is not done before one of those that ran");
      await Promise.all([first, second]);
      const later = [store.flush(), store.flush(), store.flush()];
      assert.equal(new Set([third, ...later]).size, 4, "nobody shares what is done");
      await Promise.all(later);
      const atEnd = [1, 2, 3, 4, 5].map(() => store.flush());
      await store.close();
      await Promise.all(atEnd);
    },
  );

  test(`a flush that fails fails all that share it, and all after it (${lanes})`, skip, async (t) => {
    const fd = openSync("/dev/null", "r+");
    const ways = lanes === false ? {} : { lanes: new FileLanes(fd, { path: "null", slowLane: lanes }) };
    const store = new FileStore(fd, { path: "null", byteLength: 4096, isReadOnly: false, ...ways });
    t.after(() => store.close());
    const ends = await Promise.allSettled([1, 2, 3, 4, 5].map(() => store.flush()));
    assert.deepEqual(new Set(ends.map(({ status }) => status)), new Set(["rejected"]));
    await assert.rejects(async () => store.flush(), StoreError);
  });
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

for (const direct of [false, true]) {
  test(`closing images gives their memory back${direct ? ", also what unaligned memory went through" : ""}`, async () => {
    const path = join(folder, "memory.img");
    writeFileSync(path, new Uint8Array(1 << 20));
    // Address space, in KiB.
    const size = () => Number(/^VmSize:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1]);
    const useOne = async () => {
      const store = openImage(path, { lanes: "threads", lock: false, direct });
      await Promise.all([1, 2].map((offset) => store.read(0, scatterOf([[offset * 4097, 4096]]), 4096)));
      await store.close();
    };
    const round = async () => {
      for (let count = 0; count < 40; count++) await useOne();
      // Views go with the garbage collector, and their addresses after it.
      for (let turn = 0; turn < 3; turn++) {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    await round();
    const before = size();
    await round();
    assert.ok(size() - before < 10 << 10, `${size() - before} KiB more after 40 images of half a MiB and more each`);
  });
}

for (const lane of ["threads", "io_uring"] as const) {
  const skip = lane === "io_uring" ? uringOptions : {};
  test(`a medium without space is a no-space error that says where, and can be read (${lane})`, skip, async (t) => {
    // Writes to this device find no space, reads find zeros.
    const fd = openSync("/dev/full", "r+");
    const lanes = new FileLanes(fd, { path: "full", slowLane: lane });
    const store = new FileStore(fd, { path: "full", byteLength: 1 << 20, isReadOnly: false, lanes });
    t.after(() => store.close());
    const scatter = scatterOf([[0, 8192]]);
    scatter.fill(9);
    // Whole pages are tried at once; parts of pages that are not cached go the slow lane.
    for (const position of [4096, 512]) {
      await assert.rejects(
        async () => store.write(position, scatter, 8192),
        (error) => error instanceof StoreError && error.code === "no-space" && error.position === position,
      );
    }
    await store.read(4096, scatter, 8192);
    assert.ok(scatter.toBytes().every((byte) => byte === 0));
  });
}

test("what the mapping has is read without a system call, and written by one each", { skip: noMapping }, async (t) => {
  const mapped = copyOfImage("counted.img");
  readFileSync(mapped);
  const store = opened(t, mapped, { lanes: true, mapped: true });
  const scatter = scatterOf([[0, 4096]]);
  const callsOf = (name: "syscr" | "syscw", work: () => void) => {
    const count = () => Number(new RegExp(`^${name}: (\\d+)`, "m").exec(readFileSync("/proc/self/io", "latin1"))?.[1]);
    const before = count();
    work();
    return count() - before;
  };
  for (let turn = 0; turn < 10; turn++) store.read(4096 * turn, scatter, 4096);
  const everywhere = (work: (position: number) => void) => {
    for (let turn = 0; turn < 200; turn++) work(4096 * turn);
  };
  const reads = callsOf("syscr", () =>
    everywhere((position) => assert.equal(store.read(position, scatter, 4096), undefined)),
  );
  assert.ok(reads < 50, `${reads} system calls for 200 reads`);
  const writes = callsOf("syscw", () =>
    everywhere((position) => assert.equal(store.write(position, scatter, 4096), undefined)),
  );
  assert.ok(writes >= 200, `${writes} system calls for 200 writes`);
  // The kernel holds it too: nothing can be written through the mapping.
  const mapping = readFileSync("/proc/self/maps", "latin1")
    .split("\n")
    .find((line) => line.endsWith(mapped));
  assert.match(mapping ?? "", / r--s /);
});
