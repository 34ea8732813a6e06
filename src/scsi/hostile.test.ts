/** Whatever comes as a CDB, a unit ends the task with a status and stays inside its buffers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseHexBytes } from "../bytes/index.js";
import { GuestMemory, Scatter } from "../memory/index.js";
import { MemoryStore } from "../storage/index.js";
import { ScsiBus } from "./bus.js";
import { CdDrive } from "./cd.js";
import { Commands } from "./command-table.js";
import { Disk } from "./disk.js";
import { decodeVirtioLun, unitAddress } from "./lun-address.js";
import { Nexus } from "./nexus.js";
import { parseSense } from "./sense.js";
import { ScsiStatus, ScsiTask } from "./task.js";

const opcodes = [...new Set(Object.values(Commands).map(({ opcode }) => opcode))];
/** CDBs of random bytes, most with an opcode that exists, many with small numbers so that some get through. */
const anyCdb = fc
  .tuple(
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...opcodes) }, { weight: 1, arbitrary: fc.nat(255) }),
    fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(16), fc.nat(255)), {
      minLength: 31,
      maxLength: 31,
    }),
  )
  .map(([opcode, rest]) => Uint8Array.of(opcode, ...rest));

interface Piece {
  readonly gap: number;
  readonly length: number;
}
const pieces = fc.array(fc.record({ gap: fc.nat(64), length: fc.integer({ min: 1, max: 3000 }) }), { maxLength: 5 });

/** Guest memory with guard bytes around every piece. */
function guarded(list: readonly Piece[]): { scatter: Scatter; isIntact: () => boolean } {
  const size = list.reduce((sum, { gap, length }) => sum + gap + length, 64);
  const region = GuestMemory.ofSize(size).regions[0];
  region.bytes.fill(0xa5);
  const scatter = new Scatter();
  const inside = new Uint8Array(size);
  let at = 0;
  for (const { gap, length } of list) {
    at += gap;
    scatter.push(region, at, length);
    inside.fill(1, at, at + length);
    at += length;
  }
  return { scatter, isIntact: () => region.bytes.every((byte, index) => inside[index] === 1 || byte === 0xa5) };
}

test("random CDBs never throw, never leave their buffers, always end with a status", () => {
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(new MemoryStore(512 * 300)));
  bus.attach(0, 1, new Disk(new MemoryStore(4096 * 300), { blockSize: 4096, descriptorSense: true }));
  bus.attach(0, 2, new CdDrive(new MemoryStore(2048 * 300)));
  const nexuses = [new Nexus("one"), new Nexus("two")];
  const statuses = new Map<number, number>();
  const task = new ScsiTask();
  fc.assert(
    fc.property(anyCdb, fc.nat(3), fc.nat(1), pieces, pieces, (bytes, lun, who, outPieces, inPieces) => {
      const out = guarded(outPieces);
      const room = guarded(inPieces);
      task.cdb.fill(0).set(bytes);
      task.begin(nexuses[who], out.scatter, room.scatter);
      const unit = bus.lookup(unitAddress(0, lun));
      assert.ok(unit);
      unit.prepare(task);
      assert.ok(task.expectedIn >= 0 && task.expectedOut >= 0 && task.blocks >= 0 && task.lba >= 0);
      assert.equal(unit.execute(task), undefined, "a memory store answers at once");
      assert.ok(room.isIntact(), "wrote outside dataIn");
      assert.ok(out.scatter.byteLength >= task.transferredOut && room.scatter.byteLength >= task.transferredIn);
      assert.ok(task.transferredIn <= task.expectedIn && task.transferredOut <= task.expectedOut);
      const { Good, CheckCondition, ConditionMet, ReservationConflict } = ScsiStatus;
      assert.ok(([Good, CheckCondition, ConditionMet, ReservationConflict] as number[]).includes(task.status));
      assert.equal(task.senseLength > 0, task.status === ScsiStatus.CheckCondition);
      if (task.senseLength > 0) assert.ok(parseSense(task.sense.subarray(0, task.senseLength)));
      statuses.set(task.status, (statuses.get(task.status) ?? 0) + 1);
    }),
    { numRuns: 5000 },
  );
  assert.ok((statuses.get(ScsiStatus.Good) ?? 0) > 200, "some commands get through");
  assert.ok((statuses.get(ScsiStatus.CheckCondition) ?? 0) > 200, "some are refused");
});

/** Parameter lists whose numbers are small now and then, so that some make sense. */
const anyList = fc.array(fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(24), fc.nat(255)), {
  maxLength: 64,
});
/** Commands with a parameter list: where its length stands, and starts of lists that get far. */
const listed: readonly (readonly [opcode: number, lengthByte: number, starts: readonly string[]])[] = [
  [0x15, 4, ["", "00 00 00 00 08 12 04", "00 00 00 08 00 00 01 2c 00 00 02 00 0a 0a 02 10"]],
  [0x55, 8, ["", "00 00 00 00 00 00 00 00 08 12 00", "00 00 00 00 01 00 00 10"]],
  [0x42, 8, ["", "00 16 00 10 00 00 00 00", "00 26 00 20 00 00 00 00 00 00 00 00 00 00 00"]],
  [0x5f, 8, ["", "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01"]],
];

test("random parameter lists of any length never throw, are never read past their end, always end with a status", () => {
  const disk = new Disk(new MemoryStore(512 * 300), { powerOnAttention: false });
  const nexuses = [new Nexus("one"), new Nexus("two")];
  const task = new ScsiTask();
  const outcomes = new Map<string, number>();
  const command = fc.constantFrom(...listed).chain(([opcode, at, starts]) =>
    fc.record({
      opcode: fc.constant(opcode),
      at: fc.constant(at),
      start: fc.constantFrom(...starts),
      rest: anyList,
      flags: fc.constantFrom(0, 0x10, 0x10, 1, 4, 5, 6),
      type: fc.nat(9),
      error: fc.constantFrom(0, 0, 0, 0, 1, -1, 200),
      who: fc.nat(1),
    }),
  );
  fc.assert(
    fc.property(command, ({ opcode, at, start, rest, flags, type, error, who }) => {
      const list = Uint8Array.of(...parseHexBytes(start), ...rest);
      if (opcode === 0x5f) list.fill(0, 24);
      const sent = opcode === 0x5f ? Uint8Array.from({ length: 24 }, (_, index) => list[index] ?? 0) : list;
      task.cdb.fill(0);
      task.cdb.set([opcode, flags, opcode === 0x5f ? type : 0]);
      task.cdb[at] = Math.max(0, sent.length + error);
      task.begin(nexuses[who], Scatter.of(sent), new Scatter());
      disk.prepare(task);
      assert.equal(disk.execute(task), undefined, "a memory store answers at once");
      const { Good, CheckCondition, ReservationConflict } = ScsiStatus;
      assert.ok(([Good, CheckCondition, ReservationConflict] as number[]).includes(task.status));
      assert.ok(task.transferredOut <= sent.length);
      assert.equal(task.senseLength > 0, task.status === CheckCondition);
      const outcome = `${opcode.toString(16)} ${task.status}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }),
    { numRuns: 5000 },
  );
  for (const opcode of ["15", "55", "42", "5f"]) {
    assert.ok((outcomes.get(`${opcode} 0`) ?? 0) > 4, `${opcode} gets through now and then`);
    assert.ok((outcomes.get(`${opcode} 2`) ?? 0) > 20, `${opcode} is refused now and then`);
  }
});

test("a command after a random one finds the unit as it was", () => {
  const store = new MemoryStore(512 * 300);
  const disk = new Disk(store, { powerOnAttention: false });
  const nexus = new Nexus("one");
  const task = new ScsiTask();
  const nothing = new Scatter();
  fc.assert(
    fc.property(anyCdb, (bytes) => {
      task.cdb.fill(0).set(bytes);
      task.begin(nexus, nothing, nothing);
      disk.prepare(task);
      disk.execute(task);
      task.cdb.fill(0);
      task.begin(nexus, nothing, nothing);
      disk.prepare(task);
      disk.execute(task);
      assert.equal(task.status, ScsiStatus.Good, "TEST UNIT READY");
    }),
    { numRuns: 2000 },
  );
});

test("a random virtio address finds a unit, a voice that says there is none, or nothing", () => {
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(new MemoryStore(512)));
  const bytes = fc.array(fc.oneof(fc.constantFrom(0, 1, 0x40, 0xc1), fc.nat(255)), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(bytes, (raw) => {
      const address = decodeVirtioLun(Uint8Array.from(raw));
      if (address !== undefined) bus.lookup(address);
    }),
    { numRuns: 2000 },
  );
});
