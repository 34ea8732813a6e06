/** The A4091 in the extended profile, on the host adapter's driver: none of the seed's weak points. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Disk, parseSense, ScsiBus, ScsiStatus } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { SlowStore } from "../../testing/index.js";
import {
  type AmixRig,
  amixRig,
  patterned,
  type RigSpec,
  request,
  sendThrough,
  storeWith,
  weakPointTests,
} from "./amix-rig.test.js";
import { Errno, gsio } from "./index.js";

const inquiry = (length: number, lun = 0) => Uint8Array.of(0x12, lun << 5, 0, 0, length, 0);
const read10 = (block: number, count: number) =>
  Uint8Array.of(0x28, 0, 0, 0, block >> 8, block, 0, count >> 8, count, 0);
const write10 = (block: number, count: number) =>
  Uint8Array.of(0x2a, 0, 0, 0, block >> 8, block, 0, count >> 8, count, 0);
const unit = 6;
const { weakPoint, complete } = weakPointTests("extended");

async function extendedRig(spec: RigSpec = {}): Promise<AmixRig> {
  return amixRig({
    ...{ boards: [{ disks: { 6: await storeWith(patterned()) } }], adapter: { busSettle: 0 } },
    ...spec,
  });
}

test("check 23: INQUIRY, READ(10), WRITE(10), an unknown command, an absent target", async () => {
  const rig = await extendedRig();
  const identity = await sendThrough(rig, { unit }, inquiry(36), 36);
  assert.deepEqual([identity.okay, identity.status, identity.residual], [true, 0, 0]);
  const block = await sendThrough(rig, { unit }, read10(9, 2), 1024);
  assert.deepEqual(block.data, patterned().subarray(9 * 512, 11 * 512));
  const data = patterned(4, 0x77);
  assert.equal((await sendThrough(rig, { unit }, write10(100, 4), 2048, { reading: false, data })).status, 0);
  assert.deepEqual((await sendThrough(rig, { unit }, read10(100, 4), 2048)).data, data);
  const unknown = await sendThrough(rig, { unit }, Uint8Array.of(0x02, 0, 0, 0, 0, 0), 0);
  assert.deepEqual([unknown.okay, unknown.status], [true, ScsiStatus.CheckCondition]);
  const absent = await sendThrough(rig, { unit: 3 }, inquiry(36), 36);
  assert.deepEqual([absent.okay, absent.status], [false, 0xff]);
  await rig.close();
});

weakPoint("short transfers", "one succeeds and says how much is left", async () => {
  const rig = await extendedRig();
  const answer = await sendThrough(rig, { unit }, inquiry(255), 255);
  assert.equal(answer.okay, true);
  assert.equal(answer.residual, 255 - (5 + answer.data[4]));
  await rig.close();
});

weakPoint(
  "more data than room",
  "a target with more data than there is room for gives what there is room for",
  async () => {
    const rig = await extendedRig();
    const answer = await sendThrough(rig, { unit }, read10(4, 2), 512);
    assert.deepEqual([answer.okay, answer.residual], [true, 0]);
    assert.deepEqual(answer.data, patterned().subarray(4 * 512, 5 * 512));
    await rig.close();
  },
);

weakPoint("one look at ISTAT", "a disk that takes its time is waited for", async () => {
  const slow = new SlowStore(await storeWith(patterned()), { longestDelay: 5 });
  const rig = await extendedRig({ boards: [{ disks: { 6: slow } }] });
  const answer = await sendThrough(rig, { unit }, read10(77, 1), 512);
  assert.equal(answer.okay, true);
  assert.deepEqual(answer.data, patterned().subarray(77 * 512, 78 * 512));
  await rig.close();
});

weakPoint(
  "static buffers",
  "commands of several units and cards are under way at once, each with its own data",
  async () => {
    const disks: Record<number, SlowStore> = {};
    for (let id = 0; id < 7; id++) disks[id] = new SlowStore(await storeWith(patterned(64, id)), { seed: id + 1 });
    const other = new SlowStore(await storeWith(patterned(64, 0x55)), { seed: 99 });
    const rig = await extendedRig({ boards: [{ disks }, { disks: { 6: other } }] });
    const all = Array.from({ length: 64 }, async (_, index) => {
      const card = index % 8 === 7 ? 1 : 0;
      const id = card === 1 ? 6 : index % 7;
      const block = index % 60;
      const answer = await sendThrough(rig, { card, unit: id }, read10(block, 2), 1024);
      assert.equal(answer.okay, true);
      assert.deepEqual(answer.data, patterned(64, card === 1 ? 0x55 : id).subarray(block * 512, block * 512 + 1024));
    });
    await Promise.all(all);
    await rig.close();
  },
);

weakPoint("direction", "a command in the wrong direction does not touch the memory", async () => {
  const rig = await extendedRig();
  const data = new Uint8Array(512).fill(0xee);
  const answer = await sendThrough(rig, { unit }, read10(5, 1), 512, { reading: false, data });
  assert.deepEqual(answer.data, data);
  assert.equal((await sendThrough(rig, { unit }, inquiry(36), 36)).okay, true, "and the bus goes on");
  await rig.close();
});

weakPoint("no LUNs", "what the CDB says is what IDENTIFY says", async () => {
  const bus = new ScsiBus();
  for (const lun of [0, 1]) {
    bus.attach(6, lun, new Disk(new MemoryStore(64 * 512 * (lun + 1)), { powerOnAttention: false }));
  }
  const rig = await extendedRig({ boards: [{ bus }] });
  const capacity = async (lun: number) => {
    const cdb = Uint8Array.of(0x25, lun << 5, 0, 0, 0, 0, 0, 0, 0, 0);
    return new DataView((await sendThrough(rig, { unit }, cdb, 8)).data.buffer).getUint32(0) + 1;
  };
  assert.deepEqual([await capacity(0), await capacity(1)], [64, 128]);
  assert.equal((await sendThrough(rig, { unit }, inquiry(36, 5), 36)).data[0], 0x7f, "no LUN 5");
  await rig.close();
});

test("5.6: sense: fetched by itself, and given to the REQUEST SENSE that a program sends", async () => {
  const rig = await extendedRig();
  const place = { card: 0, unit };
  const { passThrough } = rig.kernel;
  const past = Uint8Array.of(0x28, 0, 0, 1, 0, 0, 0, 0, 1, 0);
  rig.kernel.sd.init();
  assert.equal((await gsio(passThrough, place, past, new Uint8Array(512))).status, ScsiStatus.CheckCondition);
  const sense = await gsio(passThrough, place, Uint8Array.of(3, 0, 0, 0, 16, 0), new Uint8Array(16));
  assert.deepEqual([sense.data[0] & 0x7f, sense.data[2] & 15, sense.data[12]], [0x70, 5, 0x21]);
  const none = await gsio(passThrough, place, Uint8Array.of(3, 0, 0, 0, 16, 0), new Uint8Array(16));
  assert.equal(none.data[2] & 15, 0, "once");
  await rig.close();
});

weakPoint("no time-out", "a target that never answers is given up, and the others go on", async () => {
  const held = new SlowStore(await storeWith(patterned()), { isHeld: true });
  const rig = await extendedRig({
    boards: [{ disks: { 6: held, 2: await storeWith(patterned(64, 2)) } }],
    adapter: { busSettle: 0, timeout: 60, grace: 60, watch: 10 },
  });
  const dead = sendThrough(rig, { unit }, read10(0, 1), 512);
  const alive = await sendThrough(rig, { unit: 2 }, read10(1, 1), 512);
  assert.deepEqual(alive.data, patterned(64, 2).subarray(512, 1024));
  assert.deepEqual([(await dead).okay, (await dead).status], [false, 0xff]);
  await held.releaseAll();
  await rig.close();
});

weakPoint("no interrupt", "interrupts are enabled, and the chip is set up once, not for every command", async () => {
  const rig = await extendedRig();
  const [{ chip }] = rig.cards;
  assert.notEqual(chip.window.read8(0x3a), 0, "DIEN");
  const before = [...rig.adapters.values()][0].counters.commands;
  for (let index = 0; index < 5; index++) await sendThrough(rig, { unit }, inquiry(36), 36);
  assert.equal([...rig.adapters.values()][0].counters.commands - before, 5);
  assert.equal([...rig.adapters.values()][0].counters.busResets <= 1, true);
  await rig.close();
});

weakPoint("no time-out", "a disk that keeps the bus is called off, with a bus reset, and works again", async () => {
  const held = new SlowStore(await storeWith(patterned()), { isHeld: true });
  const disks = { 6: held, 2: await storeWith(patterned(64, 2)) };
  const rig = await extendedRig({
    boards: [{ disks, target: { disconnect: "never" }, chip: { openPoints: { resetWhileConnected: "held" } } }],
    adapter: { busSettle: 0, timeout: 40, grace: 20, watch: 5 },
  });
  const dead = sendThrough(rig, { unit }, read10(0, 1), 512);
  assert.deepEqual([(await dead).okay, (await dead).status], [false, 0xff]);
  assert.deepEqual((await sendThrough(rig, { unit: 2 }, read10(1, 1), 512)).data, patterned(64, 2).subarray(512, 1024));
  const attention = await sendThrough(rig, { unit }, read10(4, 1), 512);
  assert.equal(parseSense(attention.sense)?.asc, 0x29, "it says that it was reset");
  const answer = sendThrough(rig, { unit }, read10(4, 1), 512);
  await new Promise((resolve) => setTimeout(resolve, 5));
  await held.releaseAll();
  assert.deepEqual((await answer).data, patterned().subarray(4 * 512, 5 * 512));
  assert.equal([...rig.adapters.values()][0].counters.busResets, 1);
  await rig.close();
});

weakPoint("no disconnection", "a disk that takes its time leaves the bus to others meanwhile", async () => {
  const held = new SlowStore(await storeWith(patterned()), { isHeld: true });
  const rig = await extendedRig({ boards: [{ disks: { 6: held, 2: await storeWith(patterned(64, 2)) } }] });
  const late = sendThrough(rig, { unit }, read10(7, 1), 512);
  assert.equal((await sendThrough(rig, { unit: 2 }, read10(1, 1), 512)).okay, true);
  await held.releaseAll();
  assert.deepEqual((await late).data, patterned().subarray(7 * 512, 8 * 512));
  const [{ counters }] = rig.adapters.values();
  assert.deepEqual([counters.disconnections, counters.reselections], [1, 1]);
  await rig.close();
});

weakPoint("no synchronous transfers", "they are agreed on with the first command", async () => {
  const rig = await extendedRig();
  await sendThrough(rig, { unit }, read10(7, 1), 512);
  assert.equal([...rig.adapters.values()][0].agreement(unit)?.offset, 8);
  await rig.close();
});

weakPoint("no sense", "it comes with the command, whatever is sent afterwards; who asks is told as well", async () => {
  const rig = await extendedRig();
  const failed = () => sendThrough(rig, { unit }, read10(5000, 1), 512);
  const [{ okay, status, sense }] = await Promise.all([failed(), sendThrough(rig, { unit }, read10(0, 1), 512)]);
  assert.deepEqual([okay, status, parseSense(sense)?.asc], [true, ScsiStatus.CheckCondition, 0x21]);
  await failed();
  const asked = await sendThrough(rig, { unit }, Uint8Array.of(3, 0, 0, 0, 18, 0), 18);
  assert.equal(parseSense(asked.data)?.asc, 0x21);
  await rig.close();
});

test("5.5: boards are driven where they are: an A4092 behind an A4091, and two A4091s", async () => {
  const identity = { manufacturer: 0xc0de, product: 1 };
  for (const second of [{ identity }, {}]) {
    const boards = [
      { disks: { 1: await storeWith(patterned(64, 1)) } },
      { ...second, disks: { 6: await storeWith(patterned(64, 6)) } },
    ];
    const rig = await extendedRig({ boards });
    const one = await sendThrough(rig, { card: 0, unit: 1 }, read10(1, 1), 512);
    const other = await sendThrough(rig, { card: 1, unit: 6 }, read10(1, 1), 512);
    assert.deepEqual(one.data, patterned(64, 1).subarray(512, 1024));
    assert.deepEqual(other.data, patterned(64, 6).subarray(512, 1024));
    await rig.close();
  }
});

test("check 29, 5.7: 100 requests on the host adapter keep their order and do not nest", async () => {
  const rig = await extendedRig();
  const whole = { card: 0, unit, slice: 0 };
  assert.equal(await rig.kernel.disks.open(whole), Errno.None);
  const order: number[] = [];
  const requests = Array.from({ length: 100 }, (_, index) => {
    const made = request(rig, { ...whole, block: index * 3, bcount: 1536, done: () => order.push(index) });
    rig.kernel.disks.strategy(made.buf);
    return made;
  });
  for (const [index, { done, bytes }] of requests.entries()) {
    assert.equal((await done).error, false);
    assert.deepEqual(bytes, patterned().subarray(index * 1536, (index + 1) * 1536));
  }
  assert.deepEqual(
    order,
    order.map((_, index) => index),
  );
  assert.equal(rig.kernel.disks.deepestNesting, 1);
  await rig.close();
});

test("what is refused fails at once: a unit that the bus has not, the board's own id, memory that is none", async () => {
  const rig = await extendedRig();
  for (const id of [8, 0xffff_ffff, 7]) {
    assert.equal((await sendThrough(rig, { unit: id }, inquiry(36), 36)).okay, false);
  }
  const outside = request(rig, { card: 0, unit, slice: 0, block: 0, bcount: 512, addr: 0x1000_0000 });
  await rig.kernel.disks.open({ card: 0, unit, slice: 0 });
  rig.kernel.disks.strategy(outside.buf);
  assert.equal((await outside.done).error, true);
  assert.equal((await sendThrough(rig, { unit }, inquiry(36), 36)).okay, true);
  await rig.close();
});

complete();
