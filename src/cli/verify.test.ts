/** The verification finds what is wrong: each test has a store with one defect. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { boards } from "../machine/index.js";
import { Scatter } from "../memory/index.js";
import { EmbeddedMachine } from "../platform/embedded/index.js";
import { Disk, ScsiBus } from "../scsi/index.js";
import { MemoryStore, type Store } from "../storage/index.js";
import { discoverUnits, UnitBlocks, VirtioScsiDevice } from "../virtio/index.js";
import { isWriteProtection } from "./driven-units.js";
import { Interrupted, WorkFailed } from "./errors.js";
import { ImageBytes } from "./image-bytes.js";
import { Interruption } from "./interruption.js";
import { Pace } from "./pace.js";
import { ScsiSession } from "./session-scsi.js";
import { type Verification, verifyUnit, type WriteTest } from "./verify.js";

const size = 4 << 20;
const badBlock = 4321;

interface Setup {
  /** Puts the defect into the store, which holds what the image holds. */
  readonly wrap?: (store: MemoryStore) => Store;
  readonly readOnly?: boolean;
  readonly pace?: Pace;
}

interface Outcome {
  readonly verification?: Verification;
  readonly error?: unknown;
  /** What the store holds afterwards, and what it held before. */
  readonly after: Uint8Array;
  readonly before: Uint8Array;
}

async function verify(context: TestContext, writeTest: WriteTest, setup: Setup = {}): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "verify-test-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const before = new Uint8Array(size).map((_, index) => (index * 31 + (index >>> 9)) & 0xff);
  const path = join(folder, "disk.img");
  writeFileSync(path, before);
  const memory = new MemoryStore(size);
  memory.write(0, Scatter.of(before), size);
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(setup.wrap?.(memory) ?? memory, { readOnly: setup.readOnly ?? false }));
  const machine = new EmbeddedMachine(boards["pc"], { ramSize: 16 << 20 });
  machine.plugVirtio(new VirtioScsiDevice(bus), { classCode: 0x010000 });
  const session = await ScsiSession.open(machine, { registers: "auto", interrupts: "msix" });
  const image = new ImageBytes(path);
  const result: { verification?: Verification; error?: unknown } = {};
  try {
    const [found] = await discoverUnits(session.driver);
    const unit = new UnitBlocks(session.driver, found);
    const pace = setup.pace ?? new Pace(new Interruption());
    result.verification = await verifyUnit({
      ...{ unit, isRefusal: isWriteProtection, image, dma: machine.dma },
      ...{ writeTest, seed: 1, pace },
    });
  } catch (error) {
    result.error = error;
  } finally {
    image.close();
    await session.close();
    await machine.close();
  }
  const after = new Uint8Array(size);
  memory.read(0, Scatter.of(after), size);
  assert.deepEqual(readFileSync(path), Buffer.from(before), "the image file is never touched here");
  return { ...result, before, after };
}

/** The store with some methods replaced. */
function withDefect(store: MemoryStore, defect: Partial<Store>): Store {
  const whole: Store = {
    description: store.description,
    byteLength: store.byteLength,
    isReadOnly: false,
    read: (...words) => store.read(...words),
    write: (...words) => store.write(...words),
    flush: () => store.flush(),
    discard: (...words) => store.discard(...words),
    writeZeroes: (...words) => store.writeZeroes(...words),
    extentAt: (position) => store.extentAt(position),
    close: () => store.close(),
  };
  return Object.assign(whole, defect);
}

test("a sound unit is verified: all places read, written, and read again", async (t) => {
  const { verification, error, before, after } = await verify(t, "scratch");
  assert.equal(error, undefined);
  assert.equal(verification?.bytes, size);
  assert.ok((verification?.read.bytesPerSecond ?? 0) > 0 && (verification?.written?.commandsPerSecond ?? 0) > 0);
  assert.notDeepEqual(after, before);
});

test("one wrong bit on the medium is found, with its block", async (t) => {
  const { error } = await verify(t, "scratch", {
    wrap: (store) => {
      const byte = new Uint8Array(1);
      store.read(badBlock * 512 + 77, Scatter.of(byte), 1);
      byte[0] ^= 0x10;
      store.write(badBlock * 512 + 77, Scatter.of(byte), 1);
      return store;
    },
  });
  assert.ok(error instanceof WorkFailed);
  assert.match(error.message, new RegExp(`^block ${badBlock} of .* is not what the image holds$`));
});

test("a write that is lost is found", async (t) => {
  const { error } = await verify(t, "scratch", {
    wrap: (store) =>
      withDefect(store, {
        write: (position, source, length) => (position === 1 << 20 ? undefined : store.write(position, source, length)),
      }),
  });
  assert.ok(error instanceof WorkFailed);
  assert.match(error.message, /^block 2048 of .* is not what was written$/);
});

test("writes that also land elsewhere are found, since all is written before anything is read back", async (t) => {
  const { error } = await verify(t, "scratch", {
    wrap: (store) =>
      withDefect(store, {
        write(position, source, length) {
          store.write(position ^ (2 << 20), source, length);
          return store.write(position, source, length);
        },
      }),
  });
  assert.ok(error instanceof WorkFailed);
  assert.match(error.message, /is not what was written$/);
});

test("a unit that takes writes although it is read-only is found", async (t) => {
  const { error, before, after } = await verify(t, "refused");
  assert.ok(error instanceof WorkFailed);
  assert.match(error.message, /is read-only, but its unit took a write/);
  assert.deepEqual(after, before);
});

test("a read-only unit that refuses writes is verified", async (t) => {
  const { verification, error } = await verify(t, "refused", { readOnly: true });
  assert.equal(error, undefined);
  assert.equal(verification?.written, undefined);
});

test("a test that puts back leaves every byte as it was", async (t) => {
  const { verification, error, before, after } = await verify(t, "put-back");
  assert.equal(error, undefined);
  assert.ok(verification?.written !== undefined);
  assert.deepEqual(after, before);
});

test("a test that puts back does so when a write failed half-way", async (t) => {
  let failures = 0;
  const { error, before, after } = await verify(t, "put-back", {
    wrap: (store) =>
      withDefect(store, {
        write(position, source, length) {
          if (position === 1 << 20 && failures++ === 0) throw new Error("the medium failed once");
          return store.write(position, source, length);
        },
      }),
  });
  assert.equal(failures > 1, true);
  assert.match(String(error), /MEDIUM ERROR|HARDWARE ERROR/);
  assert.deepEqual(after, before);
});

test("data that cannot be put back are named with their blocks", async (t) => {
  let writes = 0;
  const { error } = await verify(t, "put-back", {
    wrap: (store) =>
      withDefect(store, {
        write(position, source, length) {
          if (position === 1 << 20 && ++writes > 1) throw new Error("the medium failed");
          return store.write(position, source, length);
        },
      }),
  });
  assert.ok(error instanceof WorkFailed);
  assert.match(error.message, /at blocks .*2048…2175.* could not be put back: .*WRITE\(10\)/);
});

test("an interrupted test that puts back leaves every byte as it was", async (t) => {
  let steps = 0;
  const interruption = Object.assign(new Interruption(), {
    check() {
      if (++steps > 12) throw new Interrupted(2);
    },
  });
  const { error, before, after } = await verify(t, "put-back", { pace: new Pace(interruption) });
  assert.ok(error instanceof Interrupted);
  assert.deepEqual(after, before);
});
