/** The pass-through and its limits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ScsiStatus } from "../../scsi/index.js";
import { amixRig, patterned, type RigSpec, storeWith } from "./amix-rig.test.js";
import { Errno, gsio, gsioCapacity, gsioCommand, gsioInquiry, ProgramMemory, sdcomLayout } from "./index.js";

const place = { card: 0, unit: 6 };
const inquiry = Uint8Array.of(0x12, 0, 0, 0, 36, 0);

async function rigWith(spec: RigSpec = {}) {
  return amixRig({ board: "a3000", onboard: { 6: await storeWith(patterned()) }, ...spec });
}

test("check 31, 5.9: INQUIRY, READ CAPACITY, READ(10), WRITE(10) from a program", async () => {
  for (const spec of [
    {},
    { profile: "strict" },
    { board: "a4000", profile: "strict", boards: [{ disks: { 6: await storeWith(patterned()) } }] },
  ] as const) {
    const rig = await rigWith(spec);
    const { passThrough } = rig.kernel;
    assert.equal((await gsioInquiry(passThrough, place))?.deviceType, 0);
    assert.deepEqual(await gsioCapacity(passThrough, place), { blocks: 4096, blockSize: 512 });
    const data = new Uint8Array(1024).map((_, index) => 0xa0 + (index & 0x1f));
    const write = Uint8Array.of(0x2a, 0, 0, 0, 0, 9, 0, 0, 2, 0);
    assert.deepEqual((await gsio(passThrough, place, write, data, false)).status, ScsiStatus.Good);
    const read = Uint8Array.of(0x28, 0, 0, 0, 0, 9, 0, 0, 2, 0);
    assert.deepEqual((await gsio(passThrough, place, read, new Uint8Array(1024))).data, data);
    await rig.close();
  }
});

test("check 31, 5.9: EINVAL for 3 bytes, for 1028 bytes (extended: above 64 KB), for another ioctl", async () => {
  const strict = await rigWith({ profile: "strict" });
  const errno = async (rig: typeof strict, length: number) =>
    (await gsio(rig.kernel.passThrough, place, inquiry, new Uint8Array(length))).errno;
  assert.equal(await errno(strict, 3), Errno.Invalid);
  assert.equal(await errno(strict, 1028), Errno.Invalid);
  assert.equal(await errno(strict, 1024), Errno.None);
  const memory = new ProgramMemory(sdcomLayout.size);
  assert.equal(await strict.kernel.passThrough.ioctl(gsioCommand + 1, memory, memory.base), Errno.Invalid);
  await strict.close();
  const extended = await rigWith();
  assert.equal(await errno(extended, 1028), Errno.None);
  assert.equal(await errno(extended, 64 * 1024 + 4), Errno.Invalid);
  await extended.close();
});

test("check 31, 5.9: ENXIO for a card that is not there, before the size is looked at", async () => {
  const rig = await rigWith();
  for (const card of [1, 2, 0xffff_ffff]) {
    assert.equal(
      (await gsio(rig.kernel.passThrough, { card, unit: 6 }, inquiry, new Uint8Array(3))).errno,
      Errno.NoDevice,
    );
  }
  await rig.close();
});

test("check 31, 5.9: EFAULT for a structure or data that is not the program's", async () => {
  const rig = await rigWith();
  const { passThrough } = rig.kernel;
  const memory = new ProgramMemory(sdcomLayout.size + 36);
  assert.equal(await passThrough.ioctl(gsioCommand, memory, memory.base - 1), Errno.Fault);
  assert.equal(await passThrough.ioctl(gsioCommand, memory, memory.base + 37), Errno.Fault);
  const view = new DataView(memory.bytes.buffer);
  const fields = { ...place, cdb: inquiry, nbyte: 36, addr: 4 };
  for (const reading of [0, 1]) {
    sdcomLayout.write(view, 0, "big", { ...fields, reading });
    assert.equal(await passThrough.ioctl(gsioCommand, memory, memory.base), Errno.Fault);
  }
  await rig.close();
});

test("check 31, 5.9: a command that fails is 0 with okay FALSE, and no data is copied out", async () => {
  const rig = await rigWith();
  const data = new Uint8Array(36).fill(0x5a);
  const absent = await gsio(rig.kernel.passThrough, { card: 0, unit: 3 }, inquiry, data);
  assert.deepEqual([absent.errno, absent.okay, absent.status], [Errno.None, false, 0xff]);
  assert.deepEqual(absent.data, data);
  const bad = await gsio(rig.kernel.passThrough, place, Uint8Array.of(0x02, 0, 0, 0, 0, 0), new Uint8Array(0));
  assert.deepEqual([bad.errno, bad.okay, bad.status], [Errno.None, true, ScsiStatus.CheckCondition]);
  await rig.close();
});

test("check 31, 5.9: data comes out only when `reading` says so", async () => {
  const rig = await rigWith({
    board: "a4000",
    profile: "strict",
    boards: [{ disks: { 6: await storeWith(patterned()) } }],
  });
  const data = new Uint8Array(36).fill(0x5a);
  const answer = await gsio(rig.kernel.passThrough, place, inquiry, data, false);
  assert.equal(answer.okay, true, "the seed's driver does not look at the direction");
  assert.deepEqual(answer.data, data);
  await rig.close();
});

test("check 31, 5.9: the static buffer is one program's at a time", async () => {
  const rig = await rigWith();
  const { passThrough } = rig.kernel;
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, block) => {
      const read = Uint8Array.of(0x28, 0, 0, 0, 0, block, 0, 0, 1, 0);
      return gsio(passThrough, place, read, new Uint8Array(512));
    }),
  );
  for (const [block, { data }] of all.entries()) {
    assert.deepEqual(data, patterned().subarray(block * 512, block * 512 + 512));
  }
  await rig.close();
});
