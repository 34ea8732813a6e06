/** `dd`: requests, their ends, slices; with the seed's driver, which ends before it returns, and the A3000's, which does not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FailingStore, failRange } from "../../testing/index.js";
import { type AmixRig, amixRig, diskBlocks, patterned, type RigSpec, request, storeWith } from "./amix-rig.test.js";
import { amixProfiles, type Buf, DdIoctl, DdUnit, Errno, wholeDiskBlocks } from "./index.js";

const whole = { card: 0, unit: 6, slice: 0 };
/** The repaired block driver on the seed's adapter driver. */
const drained = { ...amixProfiles.extended, a4091: "seed" } as const;

async function rigWith(spec: RigSpec = {}): Promise<AmixRig> {
  const rig = await amixRig({ boards: [{ disks: { 6: await storeWith(patterned()) } }], ...spec });
  assert.equal(await rig.kernel.disks.open(whole), Errno.None);
  return rig;
}

/** On the A3000's own SCSI, whose commands end later. */
async function laterRig(spec: RigSpec = {}): Promise<AmixRig> {
  return rigWith({ board: "a3000", boards: [], onboard: { 6: await storeWith(patterned()) }, ...spec });
}

const expected = (block: number, count = 1) => patterned().subarray(block * 512, (block + count) * 512);

test("check 29, 5.7: a request is one READ(10) or WRITE(10) with a 16-bit count", async () => {
  const rig = await laterRig();
  const read = request(rig, { ...whole, block: 3, bcount: 8192 });
  rig.kernel.disks.strategy(read.buf);
  const end = await read.done;
  assert.deepEqual([end.error, end.resid], [false, 0]);
  assert.deepEqual(read.bytes, expected(3, 16));
  const large = request(rig, { ...whole, block: 5, bcount: 300 * 512 });
  rig.kernel.disks.strategy(large.buf);
  assert.equal((await large.done).error, false);
  assert.deepEqual(large.bytes, expected(5, 300), "more blocks than a byte counts");
  const write = request(rig, { ...whole, block: 0x123, bcount: 1024, write: true });
  rig.kernel.disks.strategy(write.buf);
  assert.equal((await write.done).error, false);
  const commands = rig.events.filter(({ source }) => source === "a3000 target 6").map(({ fields }) => fields["cdb"]);
  assert.match(String(commands.at(-2)), /READ\(10\)/);
  assert.match(String(commands.at(-1)), /WRITE\(10\)/);
  await rig.close();
});

for (const profile of ["strict", "extended"] as const) {
  test(`check 29, 5.7: past the slice's end is B_ERROR with all of it left over (${profile})`, async () => {
    const rig = await laterRig({ profile });
    const last = profile === "strict" ? wholeDiskBlocks : diskBlocks;
    const past = request(rig, { ...whole, block: last - 1, bcount: 1024 });
    rig.kernel.disks.strategy(past.buf);
    assert.deepEqual([(await past.done).error, past.buf.resid], [true, 1024]);
    await rig.close();
  });
}

test("check 29, 5.7: slice 0 has 1234567 blocks in strict, and what the disk says in extended", async () => {
  const strict = await laterRig({ profile: "strict" });
  assert.deepEqual(strict.kernel.disks.placeOf(whole), { start: 0, blocks: 1234567 });
  await strict.close();
  const extended = await laterRig();
  assert.deepEqual(extended.kernel.disks.placeOf(whole), { start: 0, blocks: diskBlocks });
  await extended.close();
});

test("check 29, 5.7: a slice that nobody opened is the disk from block 0 on in strict, and an error in extended", async () => {
  for (const [profile, error] of [
    ["strict", false],
    ["extended", true],
  ] as const) {
    const rig = await laterRig({ profile });
    const read = request(rig, { ...whole, slice: 5, block: 0, bcount: 512 });
    rig.kernel.disks.strategy(read.buf);
    assert.equal((await read.done).error, error);
    if (!error) assert.deepEqual(read.bytes, expected(0));
    await rig.close();
  }
});

test("check 29, 5.7: a bad status: REQUEST SENSE, the message, one retry, then B_ERROR", async () => {
  const store = new FailingStore(await storeWith(patterned()), failRange(["read"], 7 * 512, 512, "read"));
  const rig = await rigWith({ board: "a3000", boards: [], onboard: { 6: store } });
  const read = request(rig, { ...whole, block: 7, bcount: 512 });
  rig.kernel.disks.strategy(read.buf);
  assert.equal((await read.done).error, true);
  assert.deepEqual(rig.kernel.console, ["A3000 Internal SCSI: disk c6d0s0: blk7 0x3 0x11"]);
  const sent = rig.events.filter(({ name }) => name === "command").slice(-3);
  assert.deepEqual(
    sent.map(({ fields }) => String(fields["cdb"]).split(" ")[0]),
    ["READ(10)", "REQUEST", "READ(10)"],
  );
  await rig.close();
});

test("check 29, 5.7: what a unit has to say first (a unit attention) costs a retry and no error", async () => {
  for (const profile of ["strict", "extended"] as const) {
    const rig = await laterRig({ profile, disk: { powerOnAttention: true } });
    const read = request(rig, { ...whole, block: 7, bcount: 512 });
    rig.kernel.disks.strategy(read.buf);
    assert.equal((await read.done).error, false);
    assert.deepEqual(read.bytes, expected(7));
    await rig.close();
  }
});

test("check 29, 5.7: okay FALSE is B_ERROR", async () => {
  const rig = await rigWith({ profile: "strict" });
  rig.kernel.disks.open({ ...whole, unit: 2 });
  const read = request(rig, { ...whole, unit: 2, block: 0, bcount: 512 });
  rig.kernel.disks.strategy(read.buf);
  assert.deepEqual([(await read.done).error, read.buf.resid], [true, 512]);
  await rig.close();
});

/** Queues `count` requests from within the end of a first one; answers the order of their ends. */
async function burst(rig: AmixRig, count: number): Promise<{ order: number[]; bytes: Uint8Array[] }> {
  const order: number[] = [];
  const rest = Array.from({ length: count }, (_, index) =>
    request(rig, { ...whole, block: 10 + index, bcount: 512, done: () => order.push(index) }),
  );
  const first = request(rig, {
    ...{ ...whole, block: 0, bcount: 512 },
    done: () => {
      for (const { buf } of rest) rig.kernel.disks.strategy(buf);
    },
  });
  rig.kernel.disks.strategy(first.buf);
  await Promise.all(rest.map(({ done }) => done));
  return { order, bytes: rest.map(({ bytes }) => bytes) };
}

for (const [name, make] of [
  ["a synchronous driver", () => rigWith({ profile: drained })],
  ["a driver that ends later", () => laterRig()],
] as const) {
  test(`check 29, 5.7: 100 queued requests on ${name} neither recurse nor change their order`, async () => {
    const rig = await make();
    const { order, bytes } = await burst(rig, 100);
    assert.deepEqual(
      order,
      Array.from({ length: 100 }, (_, index) => index),
    );
    for (const [index, found] of bytes.entries()) assert.deepEqual(found, expected(10 + index));
    assert.equal(rig.kernel.disks.deepestNesting, 1);
    await rig.close();
  });
}

test("check 29, 5.7 defect: in stock order a synchronous driver nests each request in the end of the one before", async () => {
  for (const [profile, nesting] of [
    ["strict", 100],
    [drained, 1],
  ] as const) {
    const rig = await rigWith({ profile });
    const ends: number[] = [];
    const start = (index: number): Promise<Buf> => {
      const done = () => {
        ends.push(index);
        if (index < 99) void start(index + 1);
      };
      const { buf, done: ended } = request(rig, { ...whole, block: index, bcount: 512, done });
      rig.kernel.disks.strategy(buf);
      return ended;
    };
    await start(0);
    assert.equal(ends.length, 100);
    assert.equal(rig.kernel.disks.deepestNesting, nesting);
    await rig.close();
  }
});

/** The request that `iodone` queues when the queue is empty, and one behind it. */
async function chainOfTwo(rig: AmixRig): Promise<number> {
  const count = () => rig.events.filter(({ name, source }) => name === "command" && source === "a3000 target 6").length;
  const second = request(rig, { ...whole, block: 21, bcount: 512 });
  const first = request(rig, { ...whole, block: 20, bcount: 512, done: () => rig.kernel.disks.strategy(second.buf) });
  const before = count();
  rig.kernel.disks.strategy(first.buf);
  await first.done;
  await second.done;
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(second.bytes, expected(21));
  return count() - before;
}

test("5.7: the next request is started before the owner of the one before hears of its end", async () => {
  const rig = await laterRig();
  const sent = () => rig.events.filter(({ source, name }) => source === "a3000 target 6" && name === "command").length;
  const before = sent();
  let seen = 0;
  const first = request(rig, { ...whole, block: 1, bcount: 512, done: () => (seen = sent() - before) });
  const second = request(rig, { ...whole, block: 2, bcount: 512 });
  for (const { buf } of [first, second]) rig.kernel.disks.strategy(buf);
  await second.done;
  assert.equal(seen, 2);
  await rig.close();
});

test("5.7 defect: in stock order a request that iodone queues on an empty queue is sent twice", async () => {
  const strict = await laterRig({ profile: "strict" });
  assert.equal(await chainOfTwo(strict), 3, "one and twice the other");
  await strict.close();
  const extended = await laterRig();
  assert.equal(await chainOfTwo(extended), 2);
  await extended.close();
});

test("5.7: a transfer that is no whole number of blocks is cut in strict and refused in extended", async () => {
  const strict = await laterRig({ profile: "strict" });
  const cut = request(strict, { ...whole, block: 2, bcount: 1000 });
  strict.kernel.disks.strategy(cut.buf);
  assert.equal((await cut.done).error, false);
  assert.deepEqual(cut.bytes.subarray(0, 512), expected(2));
  assert.deepEqual(cut.bytes.subarray(512), new Uint8Array(488), "the rest never came");
  await strict.close();
  const extended = await laterRig();
  const refused = request(extended, { ...whole, block: 2, bcount: 1000 });
  extended.kernel.disks.strategy(refused.buf);
  assert.deepEqual([(await refused.done).error, refused.buf.resid], [true, 1000]);
  await extended.close();
});

test("5.7: 65536 blocks are 0 in a 16-bit count: sent as that in strict, refused in extended", async () => {
  const bcount = 0x1_0000 * 512;
  const unit = new DdUnit(0, 6, () => {});
  const place = { ...whole, block: 0, addr: 0, write: false, error: false, resid: 0, done: () => {} };
  unit.buildTransfer({ ...place, bcount }, 0);
  assert.deepEqual([unit.command.cdb[7], unit.command.cdb[8], unit.command.nbyte], [0, 0, bcount]);
  const rig = await laterRig();
  let error: boolean | undefined;
  rig.kernel.disks.strategy({ ...place, bcount, done: (buf) => (error = buf.error) });
  assert.equal(error, true);
  await rig.close();
});

test("5.7: ioctl knows two commands", async () => {
  const rig = await laterRig();
  assert.deepEqual(rig.kernel.disks.ioctl(whole, DdIoctl.IsDisk), { errno: 0 });
  assert.deepEqual(rig.kernel.disks.ioctl(whole, DdIoctl.ControllerName), { errno: 0, text: "A3000 Internal SCSI" });
  assert.deepEqual(rig.kernel.disks.ioctl(whole, 0x1234), { errno: Errno.Invalid });
  await rig.close();
});

test("check 29, 5.7: raw reads and writes go in pieces of 2 KB, a command each, end at the end of the slice", async () => {
  for (const profile of ["strict", "extended"] as const) {
    const rig = await laterRig({ profile });
    const { raw } = rig.kernel;
    const sent = () => rig.events.filter(({ fields }) => /(READ|WRITE)\(10\)/.test(String(fields["cdb"]))).length;
    const before = sent();
    const bytes = new Uint8Array(9 * 512);
    assert.deepEqual(await raw.read(whole, 512, bytes), { errno: 0, count: bytes.length });
    assert.deepEqual(bytes, expected(1, 9));
    assert.equal(sent() - before, 3, "2048 + 2048 + 512");
    const { blocks = 0 } = rig.kernel.disks.placeOf(whole) ?? {};
    assert.deepEqual(await raw.read(whole, blocks * 512, bytes), { errno: 0, count: 0 }, "at the end nothing comes");
    assert.deepEqual(await raw.read(whole, blocks * 512 + 512, bytes), { errno: Errno.NoDevice, count: 0 });
    assert.deepEqual(await raw.read(whole, 100, bytes), { errno: Errno.Invalid, count: 0 });
    if (profile === "extended") {
      const tail = new Uint8Array(8192);
      assert.deepEqual(await raw.read(whole, (blocks - 3) * 512, tail), { errno: 0, count: 3 * 512 });
      assert.deepEqual(tail.subarray(0, 3 * 512), expected(blocks - 3, 3));
    }
    const written = patterned(8, 0x42);
    assert.deepEqual(await raw.write(whole, 4096, written), { errno: 0, count: 4096 });
    const back = new Uint8Array(4096);
    await raw.read(whole, 4096, back);
    assert.deepEqual(back, written);
    await rig.close();
  }
});

test("5.7: an error in the middle of a raw transfer is EIO after what came before it", async () => {
  const store = new FailingStore(await storeWith(patterned()), failRange(["read"], 5 * 512, 512, "read"));
  const rig = await rigWith({ board: "a3000", boards: [], onboard: { 6: store } });
  assert.deepEqual(await rig.kernel.raw.read(whole, 0, new Uint8Array(8192)), { errno: Errno.Io, count: 2048 });
  await rig.close();
});
