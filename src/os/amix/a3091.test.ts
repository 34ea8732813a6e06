/** The A3000's own SCSI: several units at once, `okay` only at the end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SlowStore } from "../../testing/index.js";
import { amixRig, patterned, sendThrough, storeWith } from "./amix-rig.test.js";
import { a3091Queue, SdCom } from "./index.js";

const read10 = (block: number, count: number) => Uint8Array.of(0x28, 0, 0, 0, 0, block, 0, 0, count, 0);

test("5.10: okay is FALSE when a command was queued, and TRUE after its completion only", async () => {
  const rig = await amixRig({ board: "a3000", onboard: { 6: await storeWith(patterned(64)) } });
  const block = rig.machine.dma.allocate(512, 16);
  const command = new SdCom();
  command.aim(0, 6, true, block.address, 512);
  command.cdb.set(read10(1, 1));
  command.okay = true;
  rig.kernel.sd.init();
  const ended = new Promise<void>((resolve) => {
    command.intr = () => resolve();
  });
  rig.kernel.sd.queue(command);
  assert.equal(command.okay, false);
  await ended;
  assert.equal(command.okay, true);
  await rig.close();
});

test("5.10: units disconnect: commands of several of them are under way at once", async () => {
  const onboard: Record<number, SlowStore> = {};
  for (let id = 0; id < 7; id++) onboard[id] = new SlowStore(await storeWith(patterned(64, id)), { isHeld: true });
  const rig = await amixRig({ board: "a3000", onboard });
  const all = Array.from({ length: 7 }, (_, unit) => sendThrough(rig, { unit }, read10(unit, 2), 1024));
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(
    Object.values(onboard).map(({ heldRequests }) => heldRequests),
    [1, 1, 1, 1, 1, 1, 1],
  );
  for (const id of [3, 0, 6, 1, 5, 2, 4]) await onboard[id].releaseAll();
  for (const [unit, { okay, data }] of (await Promise.all(all)).entries()) {
    assert.equal(okay, true);
    assert.deepEqual(data, patterned(64, unit).subarray(unit * 512, unit * 512 + 1024));
  }
  await rig.close();
});

test("a command that the bus cannot carry fails without harm: wrong direction, too little room, no memory, no unit", async () => {
  const rig = await amixRig({ board: "a3000", onboard: { 6: await storeWith(patterned(64)) } });
  const data = new Uint8Array(512).fill(0x77);
  const wrong = await sendThrough(rig, { unit: 6 }, read10(1, 1), 512, { reading: false, data });
  assert.deepEqual([wrong.okay, wrong.data], [false, data]);
  assert.equal((await sendThrough(rig, { unit: 6 }, read10(1, 2), 512)).okay, false);
  for (const unit of [3, 7, 200]) assert.equal((await sendThrough(rig, { unit }, read10(0, 1), 512)).okay, false);
  assert.equal((await sendThrough(rig, { unit: 6 }, read10(1, 1), 512)).okay, true);
  await rig.close();
});

test("5.3: a phantom never answers: its commands fail when time runs out", async () => {
  const command = new SdCom();
  const started = performance.now();
  await new Promise<void>((resolve) => {
    command.intr = () => resolve();
    a3091Queue({ controller: undefined, patience: 20 })(0, command);
  });
  assert.deepEqual([command.okay, command.status], [false, 0xff]);
  assert.ok(performance.now() - started >= 15);
});
