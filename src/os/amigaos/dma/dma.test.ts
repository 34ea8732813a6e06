/** The memory path (4 of the reference): DMA lists, bounce ring, cutting; checks 13 and 14 as far as they need no device. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { IoError } from "../exec/index.js";
import { DmaList } from "./dma-list.js";
import { DmaFlag, DmaMapper } from "./dma-mapper.js";
import { DmaRig, type RigOptions } from "./dma-rig.test.js";

/** Reads and writes back; data must be the disk's. */
function readAndWrite(options: RigOptions, offset: number, length: number, odd = 0): DmaRig {
  const rig = new DmaRig(options);
  const buffer = rig.memory.allocate(length + odd);
  const expected = rig.disk.slice(offset, offset + length);
  assert.deepEqual(rig.transfer(false, offset, buffer + odd, length), { error: 0, moved: length });
  assert.ok(Buffer.compare(rig.memory.read(buffer + odd, length), expected) === 0, "other bytes were read");
  const other = expected.map((byte) => byte ^ 0xff);
  rig.memory.write(buffer + odd, other);
  assert.deepEqual(rig.transfer(true, offset, buffer + odd, length), { error: 0, moved: length });
  assert.ok(Buffer.compare(rig.disk.subarray(offset, offset + length), other) === 0, "other bytes were written");
  assert.equal(rig.path.mapper.loans, 0);
  rig.memory.free(buffer);
  return rig;
}

test("13: up to the threshold nothing is mapped, above it is; the data are the same, also at odd addresses", () => {
  for (const [profile, threshold] of [
    ["strict", 4096],
    ["extended", 65536],
  ] as const) {
    for (const order of ["contiguous", "scattered"] as const) {
      for (const odd of [0, 1, 511]) {
        const small = readAndWrite({ profile, order }, 1024, threshold, odd);
        assert.equal(small.path.mapper.starts, 0);
        small.close();
        const large = readAndWrite({ profile, order }, 1024, threshold + 512, odd);
        assert.ok(large.path.mapper.starts >= 2);
        large.close();
      }
    }
  }
});

test("14, B4: 256 KiB at 0 and at 512, contiguous and scattered, without copies too", () => {
  for (const order of ["contiguous", "scattered"] as const) {
    for (const offset of [0, 512]) {
      for (const poison of [true, false]) readAndWrite({ order, poison }, offset, 256 << 10).close();
    }
  }
});

test("B4: with the first page taken for all, data from a scattered buffer is wrong", () => {
  const options: RigOptions = { change: { pages: "first" }, poison: false };
  assert.throws(() => readAndWrite(options, 0, 256 << 10), /other bytes/);
  readAndWrite({ ...options, order: "contiguous" }, 0, 256 << 10);
});

test("B1: the program's addresses are not the device's", () => {
  assert.throws(
    () => readAndWrite({ change: { addresses: "virtual" } }, 0, 256 << 10),
    /address-outside-memory|outside/,
  );
});

test("a transfer is cut at whole blocks by segments and by bytes", () => {
  fc.assert(
    fc.property(
      fc.record({
        segments: fc.integer({ min: 1, max: 20 }),
        bytes: fc.integer({ min: 1, max: 64 }).map((blocks) => blocks * 4096),
        blocks: fc.integer({ min: 1, max: 60 }),
        odd: fc.constantFrom(0, 1, 2048, 4095),
        blockSize: fc.constantFrom(512, 4096),
        bounceBytes: fc.constantFrom(4096, 16384),
        order: fc.constantFrom("contiguous" as const, "scattered" as const),
      }),
      ({ segments, bytes, blocks, odd, blockSize, bounceBytes, order }) => {
        const limits = { segments, bytes };
        const rig = readAndWrite({ limits, order, blockSize, change: { bounceBytes } }, 0, blocks * blockSize, odd);
        for (const command of rig.seen) {
          assert.ok(command.bytes <= bytes && command.pieces <= segments, JSON.stringify(command));
          assert.equal(command.bytes, command.blocks * blockSize);
        }
        rig.close();
      },
    ),
    { numRuns: 60 },
  );
});

test("a command that moved less than it should is the last one", () => {
  const rig = new DmaRig({ limits: { segments: 4, bytes: 8192 } });
  const address = rig.memory.allocate(128 << 10);
  const [slot] = rig.path.slots;
  assert.equal(slot.begin(rig.unit, false, 0, address, 128 << 10), 0);
  assert.equal(slot.next(rig.scsi), 0);
  slot.end(512);
  assert.deepEqual([slot.hasMore, slot.moved], [false, 512]);
  rig.memory.free(address);
  rig.close();
});

test("strict: 62 scattered pages go, 63 are HFERR_DMA; contiguous memory has no such limit", () => {
  const scattered = (pages: number) => {
    const rig = new DmaRig({ profile: "strict" });
    const buffer = rig.memory.allocate(pages * 4096);
    const { error, moved } = rig.transfer(false, 0, buffer, pages * 4096);
    rig.memory.free(buffer);
    const { overrun } = rig.path.slots[0].list;
    rig.close();
    return { error, moved, overrun };
  };
  assert.deepEqual(scattered(62), { error: 0, moved: 62 * 4096, overrun: 0 });
  assert.deepEqual(scattered(63), { error: IoError.Dma, moved: 0, overrun: 0 });
  readAndWrite({ profile: "strict", order: "contiguous", poison: false }, 0, 1 << 20).close();
});

test("Q5: v1.5 writes behind its scatter list before it counts; with the count first nothing is overwritten", () => {
  const overrun = (scatterBounds: "checked" | "unchecked") => {
    const rig = new DmaRig({ profile: "strict", change: { scatterBounds } });
    const buffer = rig.memory.allocate(100 * 4096);
    assert.equal(rig.transfer(false, 0, buffer, 100 * 4096).error, IoError.Dma);
    assert.equal(rig.path.lend(rig.scsi, buffer, 100 * 4096, false), IoError.Dma);
    rig.memory.free(buffer);
    rig.close();
    return [rig.path.slots[0].list.overrun, rig.path.list.overrun];
  };
  assert.deepEqual(overrun("checked"), [0, 0]);
  assert.deepEqual(overrun("unchecked"), [36, 36]);
});

test("B31: more than 65535 blocks in one command need READ(16); with the address alone deciding, the count wraps", () => {
  const first = (change: RigOptions["change"]) => {
    const rig = new DmaRig({
      ...{ profile: "strict", order: "contiguous", poison: false, ramSize: 40 << 20 },
      ...(change === undefined ? {} : { change }),
    });
    const buffer = rig.memory.allocate(33 << 20);
    const [slot] = rig.path.slots;
    assert.equal(slot.begin(rig.unit, false, 0, buffer, 33 << 20), 0);
    assert.equal(slot.next(rig.scsi), 0);
    rig.carryOut(false);
    slot.end(0);
    rig.memory.free(buffer);
    rig.close();
    return [rig.seen[0].opcode, rig.seen[0].blocks];
  };
  assert.deepEqual(first({}), [0x28, 2048]);
  assert.deepEqual(first({ cdbChoice: "address-and-count" }), [0x88, 67_584]);
});

test("B23: lengths from 1 to 511 are IOERR_BADLENGTH; v1.5 asks for a whole block all the same", () => {
  for (const length of [1, 17, 256, 511]) {
    const right = new DmaRig();
    const buffer = right.memory.allocate(512);
    assert.deepEqual(right.transfer(false, 0, buffer, length), { error: IoError.BadLength, moved: 0 });
    assert.equal(right.seen.length, 0);
    const strict = new DmaRig({ profile: "strict" });
    const place = strict.memory.allocate(512);
    assert.equal(strict.transfer(false, 0, place, length).error, 0);
    assert.deepEqual([strict.seen[0].blocks, strict.seen[0].bytes], [1, length]);
  }
});

test("NULL, length 0, misaligned offsets and addresses without memory are refused before anything is sent", () => {
  const rig = new DmaRig();
  const buffer = rig.memory.allocate(4096);
  assert.equal(rig.transfer(false, 0, 0, 512).error, IoError.BadAddress);
  assert.equal(rig.transfer(false, 0, buffer, 0).error, IoError.BadLength);
  assert.equal(rig.transfer(false, 17, buffer, 512).error, IoError.BadLength);
  assert.equal(rig.transfer(false, 0, buffer + 4096, 512).error, IoError.BadAddress);
  assert.equal(rig.transfer(false, 0, 0xdead_0000, 1 << 20).error, IoError.BadAddress);
  assert.equal(rig.transfer(false, 2 ** 63, buffer, 512).error, IoError.BadAddress);
  assert.equal(rig.transfer(false, Number.NaN, buffer, 512).error, IoError.BadAddress);
  assert.equal(rig.seen.length, 0);
  // Strict sends NULL and length 0 without data: the device says what it thinks of that.
  const strict = new DmaRig({ profile: "strict" });
  assert.deepEqual(strict.transfer(false, 0, 0, 512), { error: 0, moved: 0 });
  assert.deepEqual(strict.seen, [{ opcode: 0x28, lba: 0, blocks: 1, pieces: 0, bytes: 0 }]);
});

test("StartDMA lists physical pieces, joins neighbours, and lends until EndDMA", () => {
  const rig = new DmaRig({ poison: false });
  const list = new DmaList(8);
  const mapper = new DmaMapper(rig.memory);
  const scattered = rig.memory.allocate(4 * 4096, "scattered");
  const straight = rig.memory.allocate(4 * 4096, "contiguous");
  assert.ok(mapper.startDma(scattered + 100, 3 * 4096, 0, list));
  assert.deepEqual([...list.lengths.subarray(0, list.count)], [3996, 4096, 4096, 100]);
  assert.equal(list.addresses[0], rig.memory.physical(scattered + 100));
  assert.ok(mapper.startDma(straight, 4 * 4096, DmaFlag.ReadFromRam, list));
  assert.deepEqual([list.count, list.lengths[0]], [1, 4 * 4096]);
  assert.equal(mapper.loans, 2);
  mapper.endDma(scattered + 100, 3 * 4096);
  mapper.endDma(straight, 4 * 4096);
  assert.throws(() => mapper.endDma(straight, 4 * 4096), /EndDMA without StartDMA/);
  assert.equal(mapper.startDma(scattered, 4 * 4096, 0, new DmaList(3)), false);
  assert.equal(mapper.startDma(straight + 4 * 4096, 512, 0, list), false);
  assert.equal(mapper.loans, 0);
});

test("what is lent is poisoned, and writing to it is noticed", () => {
  const rig = new DmaRig();
  const mapper = new DmaMapper(rig.memory);
  const list = new DmaList(8);
  const buffer = rig.memory.allocate(4096);
  rig.memory.fill(buffer, 1, 4096);
  assert.ok(mapper.startDma(buffer, 4096, 0, list));
  assert.equal(rig.memory.read(buffer, 1)[0], 0xd5);
  rig.memory.fill(buffer, 2, 16);
  assert.throws(() => mapper.endDma(buffer, 4096), /written by its owner while it was lent/);
});

test("the synchronous path copies what has more pieces than a command may have", () => {
  const rig = new DmaRig({ limits: { segments: 2, bytes: 1 << 20 } });
  const buffer = rig.memory.allocate(64 << 10);
  rig.scsi.clearData();
  assert.equal(rig.path.lend(rig.scsi, buffer, 64 << 10, false), 0);
  rig.scsi.cdb.set([0x28, 0, 0, 0, 0, 3, 0, 0, 128, 0]);
  assert.equal(rig.carryOut(false), 64 << 10);
  rig.path.takeBack(rig.scsi, 64 << 10);
  assert.deepEqual(rig.memory.read(buffer, 64 << 10), rig.disk.slice(1536, 1536 + (64 << 10)));
  assert.equal(rig.path.lend(rig.scsi, buffer + (64 << 10), 512, false), IoError.BadAddress);
  assert.equal(rig.path.lend(rig.scsi, 0, 0, false), 0);
  rig.path.takeBack(rig.scsi, 0);
  rig.memory.free(buffer);
  rig.close();
});

test("slots have their buffers from the start; what was lent is all given back at the end", () => {
  const rig = new DmaRig({ profile: "strict", slots: 16 });
  assert.equal(rig.poisoning?.allocatedBlocks, 17);
  rig.close();
});
