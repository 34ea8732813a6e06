/** The seed's driver on our chip: what it does, and each of its weak points. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Reg, type ScsiPhaseTarget } from "../../ncr53c710/index.js";
import { Disk, parseSense, ScsiBus, ScsiStatus } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { SlowStore } from "../../testing/index.js";
import { amixRig, patterned, type RigSpec, sendThrough, storeWith, weakPointTests } from "./amix-rig.test.js";
import { seedScript, seedScriptLength } from "./index.js";

const inquiry = (length: number) => Uint8Array.of(0x12, 0, 0, 0, length, 0);
const read10 = (block: number, count: number) =>
  Uint8Array.of(0x28, 0, 0, 0, block >> 8, block, 0, count >> 8, count, 0);
const requestSense = Uint8Array.of(3, 0, 0, 0, 18, 0);
const write10 = (block: number, count: number) =>
  Uint8Array.of(0x2a, 0, 0, 0, block >> 8, block, 0, count >> 8, count, 0);

const { weakPoint, complete } = weakPointTests("strict");

async function strictRig(spec: RigSpec = {}) {
  const store = await storeWith(patterned());
  return amixRig({ profile: "strict", boards: [{ disks: { 6: store } }], ...spec });
}

/** The `rc` that the driver printed last. */
function lastResult(events: readonly { source: string; name: string; fields: Readonly<Record<string, unknown>> }[]) {
  return events.findLast(({ source, name }) => source === "A4:" && name === "result")?.fields;
}

/**
 * Nothing had happened when the driver looked. It would call that −2, but ISTAT.ABRT, which it set and never took back,
 * makes the chip tell of an abort: −3.
 */
function assertNotYet(events: Parameters<typeof lastResult>[0]): void {
  const { rc, sstat0, dstat } = lastResult(events) ?? {};
  assert.deepEqual({ rc, sstat0, dstat }, { rc: "-3", sstat0: 0, dstat: 0x90 });
}

test("check 23, 5.6: the script has 22 instructions and the words of the seed's, by their hash", () => {
  const script = seedScript(0x0700_0000);
  assert.equal(script.length, seedScriptLength);
  const hash = createHash("sha256").update(script).digest("hex");
  assert.equal(hash, "3952c8d8a36516cc5166b0cf0f5dde2e9a57948cc543fb83b31c9d5302dc9470");
});

test("check 23, 5.6: INQUIRY, READ(10), WRITE(10), an unknown command, an absent target", async () => {
  const rig = await strictRig();
  const unit = 6;
  const identity = await sendThrough(rig, { unit }, inquiry(36), 36);
  assert.deepEqual([identity.okay, identity.status, identity.data[0]], [true, 0, 0]);
  // The driver never takes ISTAT.ABRT back, so the chip tells of it each time beside what the script says.
  assert.deepEqual(lastResult(rig.events), { rc: "0", istat: 0x81, sstat0: 0, dstat: 0x94, dsps: 0xff00, status: 0 });
  const block = await sendThrough(rig, { unit }, read10(9, 2), 1024);
  assert.deepEqual(block.data, patterned().subarray(9 * 512, 11 * 512));
  const data = patterned(4, 0x77);
  assert.equal((await sendThrough(rig, { unit }, write10(100, 4), 2048, { reading: false, data })).status, 0);
  assert.deepEqual((await sendThrough(rig, { unit }, read10(100, 4), 2048)).data, data);
  const unknown = await sendThrough(rig, { unit }, Uint8Array.of(0x02, 0, 0, 0, 0, 0), 0);
  assert.deepEqual([unknown.okay, unknown.status], [true, ScsiStatus.CheckCondition]);
  const absent = await sendThrough(rig, { unit: 3 }, inquiry(36), 36);
  assert.deepEqual([absent.okay, absent.status], [false, 0xff]);
  assert.equal(lastResult(rig.events)?.["rc"], "-1");
  await rig.close();
});

weakPoint(
  "short transfers",
  "a target that ends the data early fails the command, although the data arrived",
  async () => {
    const rig = await strictRig();
    const answer = await sendThrough(rig, { unit: 6 }, inquiry(255), 255);
    assert.equal(answer.okay, false);
    assert.equal(lastResult(rig.events)?.["rc"], "-3");
    assert.equal(lastResult(rig.events)?.["sstat0"], 0x80, "phase mismatch");
    assert.equal(answer.data[4] > 0, true, "the data is there");
    await rig.close();
  },
);

weakPoint("more data than room", "a target with more data than there is room for ends in FF05", async () => {
  const rig = await strictRig();
  const answer = await sendThrough(rig, { unit: 6 }, read10(0, 2), 512);
  assert.equal(answer.okay, false);
  assert.deepEqual([lastResult(rig.events)?.["rc"], lastResult(rig.events)?.["dsps"]], ["-3", 0xff05]);
  await rig.close();
});

weakPoint("one look at ISTAT", "it is not enough for a disk that takes its time", async () => {
  const slow = new SlowStore(await storeWith(patterned()), { longestDelay: 1 });
  const rig = await strictRig({ boards: [{ disks: { 6: slow } }] });
  const answer = await sendThrough(rig, { unit: 6 }, read10(0, 1), 512);
  assert.equal(answer.okay, false);
  assertNotYet(rig.events);
  await rig.close();
});

weakPoint("one look at ISTAT", "a real selection time-out takes 250 ms, and is not seen either", async () => {
  const rig = await strictRig({ boards: [{ chip: { selectionTimeout: 250 } }] });
  const answer = await sendThrough(rig, { unit: 6 }, inquiry(36), 36);
  assert.equal(answer.okay, false);
  assertNotYet(rig.events);
  await rig.close();
});

weakPoint("static buffers", "the command of one card moves its data to where the other card's goes", async () => {
  const slow = new SlowStore(await storeWith(patterned(64, 1)), { longestDelay: 5 });
  const other = await storeWith(patterned(64, 2));
  const rig = await strictRig({ boards: [{ disks: { 6: slow } }, { disks: { 6: other } }] });
  const first = await sendThrough(rig, { card: 0, unit: 6 }, read10(8, 1), 512);
  assert.equal(first.okay, false, "given up at once, but the chip goes on");
  const second = await sendThrough(rig, { card: 1, unit: 6 }, read10(8, 1), 512);
  assert.equal(second.okay, true);
  // The memory of the second command, where the first one's block arrives when its disk has it.
  const at = rig.events.findLast(({ source, name }) => source === "A4:" && name === "command")?.fields[
    "addr"
  ] as number;
  assert.deepEqual(rig.machine.memory.read(at, 512), patterned(64, 2).subarray(8 * 512, 9 * 512));
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual(rig.machine.memory.read(at, 512), patterned(64, 1).subarray(8 * 512, 9 * 512));
  await rig.close();
});

weakPoint(
  "direction",
  "`reading` is not looked at: a READ moves data into memory that was to be written from",
  async () => {
    const rig = await strictRig();
    const data = new Uint8Array(512).fill(0xee);
    const answer = await sendThrough(rig, { unit: 6 }, read10(5, 1), 512, { reading: false, data });
    assert.equal(answer.okay, true);
    assert.deepEqual(answer.data, patterned().subarray(5 * 512, 6 * 512));
    await rig.close();
  },
);

weakPoint("no LUNs", "IDENTIFY names LUN 0 whatever the CDB says", async () => {
  const bus = new ScsiBus();
  for (const lun of [0, 1]) {
    bus.attach(6, lun, new Disk(new MemoryStore(64 * 512 * (lun + 1)), { powerOnAttention: false }));
  }
  const rig = await strictRig({ boards: [{ bus }] });
  const capacity = (lun: number) => {
    return sendThrough(rig, { unit: 6 }, Uint8Array.of(0x25, lun << 5, 0, 0, 0, 0, 0, 0, 0, 0), 8);
  };
  const first = await capacity(0);
  assert.deepEqual([first.okay, new DataView(first.data.buffer).getUint32(0)], [true, 63]);
  await capacity(1);
  const seen = rig.events.filter(({ source }) => source.startsWith("target 6")).map(({ source }) => source);
  assert.deepEqual([...new Set(seen)], ["target 6 lun 0"]);
  await rig.close();
});

weakPoint(
  "no interrupt",
  "the chip is reset and set up for every command, and no interrupt is ever enabled",
  async () => {
    const rig = await strictRig();
    await sendThrough(rig, { unit: 6 }, inquiry(36), 36);
    const [{ chip }] = rig.cards;
    assert.deepEqual([chip.window.read8(0), chip.window.read8(0x3a)], [0, 0], "SIEN and DIEN");
    assert.equal(chip.interruptLevel, false);
    assert.equal(chip.window.read8(0x07), 0x80, "SCID: host id 7, one-hot");
    await rig.close();
  },
);

weakPoint(
  "no disconnection",
  "IDENTIFY lets no target leave the bus, and one that leaves all the same is lost",
  async () => {
    const boards = [{ disks: { 6: await storeWith(patterned()) }, target: { disconnect: "always" } as const }];
    const rig = await strictRig({ boards });
    const answer = await sendThrough(rig, { unit: 6 }, read10(3, 1), 512);
    assert.deepEqual([answer.okay, answer.status], [true, 0], "it would leave if it might");
    await rig.close();
  },
);

weakPoint(
  "no synchronous transfers",
  "nothing is negotiated, and what a target offers has no place to go",
  async () => {
    const rig = await strictRig();
    for (let index = 0; index < 3; index++) await sendThrough(rig, { unit: 6 }, read10(index, 1), 512);
    const [{ chip }] = rig.cards;
    const target = chip.port.wire.target(6) as ScsiPhaseTarget;
    assert.equal(target.agreements[7], undefined);
    assert.equal(chip.readRegister(Reg.SXFER) & 0x0f, 0);
    await rig.close();
  },
);

weakPoint(
  "no sense",
  "a command ends with 02 and nothing else; another one in between, and nobody learns why",
  async () => {
    const rig = await strictRig();
    const sense = async () => (await sendThrough(rig, { unit: 6 }, requestSense, 18)).data;
    const failed = async () => {
      const { okay, status, sense: fetched } = await sendThrough(rig, { unit: 6 }, read10(5000, 1), 512);
      assert.deepEqual([okay, status, fetched.length], [true, ScsiStatus.CheckCondition, 0]);
    };
    await failed();
    assert.equal(parseSense(await sense())?.asc, 0x21, "whoever asks at once is told");
    await failed();
    await sendThrough(rig, { unit: 6 }, read10(0, 1), 512);
    assert.deepEqual([parseSense(await sense())?.key, parseSense(await sense())?.asc], [0, 0]);
    await rig.close();
  },
);

weakPoint(
  "no time-out",
  "a disk that keeps the bus is never called off: every command fails from then on",
  async () => {
    const held = new SlowStore(await storeWith(patterned()), { isHeld: true });
    const disks = { 6: held, 2: await storeWith(patterned(64, 2)) };
    const rig = await strictRig({ boards: [{ disks, chip: { openPoints: { resetWhileConnected: "held" } } }] });
    assert.equal((await sendThrough(rig, { unit: 2 }, read10(1, 1), 512)).okay, true);
    assert.equal((await sendThrough(rig, { unit: 6 }, read10(1, 1), 512)).okay, false);
    for (let index = 0; index < 5; index++) {
      assert.equal((await sendThrough(rig, { unit: 2 }, read10(1, 1), 512)).okay, false);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(held.heldRequests, 1, "the disk still works on it");
    await rig.close();
  },
);

test("5.5: a board that autocon does not find is driven at 0x40000000: an A4092 elsewhere is missed", async () => {
  const identity = { manufacturer: 0xc0de, product: 1 };
  const alone = await strictRig({ boards: [{ identity, disks: { 6: await storeWith(patterned()) } }] });
  assert.equal((await sendThrough(alone, { unit: 6 }, inquiry(36), 36)).okay, true, "at the fallback it is found");
  const map = alone.events.find(({ name }) => name === "map")?.fields;
  assert.deepEqual(map, { index: 0, base: 0x4000_0000, size: 0x100_0000 });
  await alone.close();
  const boards = [
    { disks: { 1: await storeWith(patterned()) } },
    { identity, disks: { 6: await storeWith(patterned()) } },
  ];
  const both = await strictRig({ boards });
  both.kernel.sd.init();
  assert.deepEqual(
    both.kernel.sd.cards.map(({ type, base }) => [type.name, base]),
    [
      ["A4091 SCSI", 0x4000_0000],
      ["A4092 SCSI", 0x4100_0000],
    ],
  );
  assert.equal((await sendThrough(both, { card: 1, unit: 6 }, inquiry(36), 36)).okay, false, "the A4092's disk");
  assert.equal((await sendThrough(both, { card: 1, unit: 1 }, inquiry(36), 36)).okay, true, "the A4091's instead");
  await both.close();
});

test("5.6: units that no bus has, and the board's own id, fail and do no harm", async () => {
  const rig = await strictRig();
  for (const unit of [7, 8, 15, 32, 38, 0xffff_ffff]) {
    assert.equal((await sendThrough(rig, { unit }, inquiry(36), 36)).okay, false, `${unit}`);
  }
  assert.equal((await sendThrough(rig, { unit: 6 }, inquiry(36), 36)).okay, true);
  await rig.close();
});

test("5.5: without room for its pages (ENOMEM) a command fails with status FF", async () => {
  const rig = await strictRig({ mapPages: 1 });
  const answer = await sendThrough(rig, { unit: 6 }, inquiry(36), 36);
  assert.deepEqual([answer.okay, answer.status], [false, 0xff]);
  await rig.close();
});

complete();
