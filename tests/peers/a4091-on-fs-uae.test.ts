/**
 * The A4091's driver on fs-uae's A4091, beside the same on ours: the same commands on the same images give the same
 * answers, and leave the same data.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { a4000, type Machine } from "../../src/machine/index.js";
import { Scatter } from "../../src/memory/index.js";
import { type HostAdapterOptions, NcrHostAdapter } from "../../src/ncr53c710/index.js";
import { EmbeddedMachine } from "../../src/platform/embedded/index.js";
import { startFsUaeMachine } from "../../src/platform/fs-uae/index.js";
import { cdb, Disk, discoverUnits, parseSense, ScsiBus, ScsiResponse, unitAddress } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { noFsUae } from "./fs-uae-rig.js";
import { after, before, describe, test } from "./limited-test.js";

const blockSize = 512;
const blocks = 2048;
const targets = [0, 2, 6];
const content = (target: number) =>
  Uint8Array.from({ length: blocks * blockSize }, (_, index) => (index * 7 + (index >> 9) + target * 41) & 0xff);

/** A driver on a machine that gets on while it waits. */
interface Running {
  readonly adapter: NcrHostAdapter;
  close(): Promise<void>;
}

async function run(machine: Machine, options: HostAdapterOptions = {}): Promise<Running> {
  let isOpen = true;
  const ended = (async () => {
    while (isOpen) await machine.idle(20);
  })();
  const adapter = await NcrHostAdapter.openFirst(machine, options);
  const close = async () => {
    await adapter.close();
    isOpen = false;
    await ended;
    await machine.close();
  };
  return { adapter, close };
}

describe("the A4091's driver on fs-uae", { skip: noFsUae }, () => {
  let folder = "";
  let images: string[] = [];
  let theirs: Running;
  let ours: Running;

  const startTheirs = async (options: HostAdapterOptions = {}, write = true) =>
    run(
      await startFsUaeMachine({
        disks: images.map((image, index) => ({ image, target: targets[index], write })),
      }),
      options,
    );

  const startOurs = () => {
    const machine = new EmbeddedMachine(a4000);
    const bus = new ScsiBus();
    for (const id of targets) {
      const store = new MemoryStore(blocks * blockSize);
      store.write(0, Scatter.of(content(id)), store.byteLength);
      bus.attach(id, 0, new Disk(store, { powerOnAttention: false }));
    }
    machine.plugA4091(bus);
    return run(machine);
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "ringside-a4091-driver-"));
    images = targets.map((id) => {
      const path = join(folder, `disk${id}`);
      writeFileSync(path, content(id));
      return path;
    });
    theirs = await startTheirs();
    ours = await startOurs();
  });
  after(async () => {
    await theirs?.close();
    await ours?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** One command on both; what is compared. */
  const both = async (target: number, command: Uint8Array, room = 0, out?: Uint8Array) => {
    const answers = [];
    for (const { adapter } of [theirs, ours]) {
      const dataIn = new Uint8Array(room);
      const data = out === undefined ? { dataIn } : { dataOut: out };
      const answer = await adapter.execute(unitAddress(target, 0), command, data);
      answers.push({ ...answer, data: dataIn.subarray(0, room - answer.residual) });
    }
    return answers;
  };

  test("the board is found by AUTOCONFIG, checked, and has its id from its switches", () => {
    for (const { adapter } of [theirs, ours]) {
      assert.deepEqual([adapter.board.base, adapter.board.dip, adapter.hostId], [0x4000_0000, 0xff, 7]);
      assert.deepEqual([adapter.isPolled, adapter.failure], [false, undefined]);
    }
  });

  test("the same units are found, of the same size", async () => {
    const found = await Promise.all([theirs, ours].map(({ adapter }) => discoverUnits(adapter)));
    const shape = found.map((units) => units.map(({ target, lun, capacity }) => [target, lun, capacity?.blocks]));
    assert.deepEqual(
      shape[0],
      targets.map((id) => [id, 0, blocks]),
    );
    assert.deepEqual(shape[0], shape[1]);
    assert.equal(found[0][0].inquiry.vendor, "UAE");
  });

  test("INQUIRY: full, short, and longer than the room for it", async () => {
    for (const [length, room, left] of [
      [36, 36, 0],
      [5, 36, 31],
      [36, 96, 60],
    ]) {
      for (const answer of await both(0, cdb.inquiry(length), room)) {
        assert.deepEqual([answer.response, answer.status, answer.residual], [0, 0, left]);
      }
    }
    for (const answer of await both(0, cdb.inquiry(36), 20)) {
      assert.deepEqual([answer.response, answer.status, answer.residual], [ScsiResponse.Overrun, 0, 0]);
    }
  });

  test("READ and WRITE on every target; the same data, which is in the images afterwards", async () => {
    const written = Uint8Array.from({ length: 9 * blockSize }, (_, index) => (index * 3) & 0xff);
    for (const target of targets) {
      for (const [lba, count] of [
        [0, 1],
        [7, 30],
        [blocks - 3, 3],
      ]) {
        const expected = content(target).slice(lba * blockSize, (lba + count) * blockSize);
        for (const answer of await both(target, cdb.read10(lba, count), count * blockSize)) {
          assert.deepEqual([answer.response, answer.status, answer.residual], [0, 0, 0]);
          assert.deepEqual(answer.data, expected);
        }
      }
      for (const answer of await both(target, cdb.write10(100 + target, 9), 0, written)) {
        assert.deepEqual([answer.response, answer.status, answer.residual], [0, 0, 0]);
      }
      const [their, our] = await both(target, cdb.read10(99 + target, 11), 11 * blockSize);
      assert.deepEqual(their.data, our.data);
      assert.deepEqual(their.data.slice(blockSize, 10 * blockSize), written);
    }
  });

  test("14: a target that is not there", async () => {
    for (const { response, residual } of await both(4, cdb.inquiry(36), 36)) {
      assert.deepEqual([response, residual], [ScsiResponse.BadTarget, 36]);
    }
  });

  test("23: an unknown command: CHECK CONDITION, its sense data fetched at once; the next command is fine", async () => {
    for (const { response, status, sense } of await both(2, Uint8Array.of(0x1f, 0, 0, 0, 0, 0))) {
      assert.deepEqual([response, status], [0, 2]);
      assert.equal(parseSense(sense)?.key, 5);
    }
    for (const { status } of await both(2, cdb.testUnitReady())) assert.equal(status, 0);
  });

  test("40 commands at once over all targets, each answered once with its own data", async () => {
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const target = targets[index % targets.length];
        const dataIn = new Uint8Array(2 * blockSize);
        const lba = 200 + index * 3;
        const answer = await theirs.adapter.execute(unitAddress(target, 0), cdb.read10(lba, 2), { dataIn });
        assert.deepEqual([answer.response, answer.status, answer.residual], [0, 0, 0]);
        assert.deepEqual(dataIn, content(target).slice(lba * blockSize, (lba + 2) * blockSize));
      }),
    );
    assert.equal(theirs.adapter.counters.busResets, 0);
    assert.equal(theirs.adapter.counters.faults, 0);
  });

  test("a bus reset, and commands after it; then polled; what was written is in the image files", async () => {
    await theirs.adapter.resetBus();
    for (const { status } of await both(6, cdb.testUnitReady())) assert.equal(status & ~2, 0);
    await theirs.close();
    const image = readFileSync(images[1]);
    assert.ok(
      Buffer.from(content(2))
        .subarray(0, 102 * blockSize)
        .equals(image.subarray(0, 102 * blockSize)),
    );
    assert.ok(!Buffer.from(content(2)).equals(image));
    theirs = await startTheirs({ completion: "poll" }, false);
    assert.equal(theirs.adapter.isPolled, true);
    const [their, our] = await both(2, cdb.read10(100, 12), 12 * blockSize);
    assert.deepEqual(their.data, our.data);
  });
});
