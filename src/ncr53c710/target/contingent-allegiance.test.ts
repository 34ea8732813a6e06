/** Between CHECK CONDITION and REQUEST SENSE (SCSI-2 §7.6): one sense a nexus, and the nexus's other commands wait. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cdb, Disk, parseSense, ScsiStatus } from "../../scsi/index.js";
import { MemoryStore, type Store, StoreError } from "../../storage/index.js";
import { FailingStore, SlowStore } from "../../testing/index.js";
import { Message, Phase } from "../index.js";
import { blockSize, diskBlocks, settled } from "../rig.test.js";
import { Initiator } from "./initiator-rig.test.js";

const id = 6;
const mayLeave = 0xc0;

/** Every read of it fails, later; the sense says which block. */
function failingStore(): Store {
  const store = new FailingStore(new MemoryStore(diskBlocks * blockSize), () => new StoreError("read", "by rule"));
  return new SlowStore(store, { longestDelay: 0 });
}

/** READ(10) of one block with a tag: the target leaves with it. */
function leaveWith(initiator: Initiator, tag: number, lun = 0): void {
  initiator.begin(mayLeave | lun, Message.SimpleTag, tag);
  initiator.command(cdb.read10(100 + tag, 1));
  assert.equal(initiator.get(Phase.MessageIn), Message.Disconnect);
}

/** Answers the reselection of a command; returns its tag and status. */
function comeBack(initiator: Initiator, lun = 0): { tag: number; status: number } {
  assert.equal(initiator.rig.wire.acceptReselection(), id);
  assert.equal(initiator.get(Phase.MessageIn), Message.Identify | lun);
  assert.equal(initiator.get(Phase.MessageIn), Message.SimpleTag);
  const tag = initiator.get(Phase.MessageIn);
  const status = initiator.end();
  initiator.rig.wire.release();
  return { tag, status };
}

/** Two commands of LUN 0 that have failed and want to come back, and the first of them has. */
async function withTwoFailed(): Promise<{ initiator: Initiator; first: number }> {
  const initiator = new Initiator({}, { store: failingStore });
  initiator.rig.bus.attach(id, 1, new Disk(failingStore(), { powerOnAttention: false, serial: "1" }));
  for (const tag of [1, 2]) leaveWith(initiator, tag);
  await later();
  const { tag, status } = comeBack(initiator);
  assert.equal(status, ScsiStatus.CheckCondition);
  return { initiator, first: tag };
}

async function later(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 10));
  await settled();
}

function failedBlock(initiator: Initiator): number {
  return Number(parseSense(initiator.requestSense())?.information);
}

test("§7.6: a command that failed too stays away until the sense of the first was fetched; each sense is its own", async () => {
  const { initiator, first } = await withTwoFailed();
  const { wire } = initiator.rig;
  assert.equal(wire.hasReselection, false, "it wants to, and must not");
  assert.equal(failedBlock(initiator), 100 + first);
  assert.equal(wire.hasReselection, true);
  const { tag, status } = comeBack(initiator);
  assert.deepEqual([tag, status], [3 - first, ScsiStatus.CheckCondition]);
  assert.equal(failedBlock(initiator), 100 + tag);
  assert.equal(initiator.sense(), "0/0/0", "and nothing is left");
});

test("§7.6: any other command of the nexus ends it: the sense is gone, the others come back", async () => {
  const { initiator } = await withTwoFailed();
  initiator.begin();
  initiator.command(cdb.testUnitReady());
  assert.equal(initiator.end(), ScsiStatus.Good);
  comeBack(initiator);
});

test("§7.6: so does ABORT, with the commands; ABORT TAG does not", async () => {
  for (const message of [Message.Abort, Message.AbortTag]) {
    const { initiator, first } = await withTwoFailed();
    const tag = message === Message.AbortTag ? [Message.SimpleTag, 77] : [];
    initiator.begin(0x80, ...tag, message);
    assert.equal(initiator.target.phase(), -2, "the bus is free");
    assert.equal(initiator.rig.wire.hasReselection, false);
    assert.equal(initiator.target.commandsAway, message === Message.Abort ? 0 : 1);
    if (message === Message.Abort) assert.equal(initiator.sense(), "0/0/0");
    else assert.equal(failedBlock(initiator), 100 + first);
  }
});

test("§7.6: another unit of the same target is not concerned", async () => {
  const { initiator, first } = await withTwoFailed();
  leaveWith(initiator, 7, 1);
  await later();
  assert.equal(initiator.rig.wire.hasReselection, true);
  assert.deepEqual(comeBack(initiator, 1), { tag: 7, status: ScsiStatus.CheckCondition });
  assert.equal(failedBlock(initiator), 100 + first, "LUN 0's");
});

test("a write that was called off while its store works on it does not happen after what is sent later", async () => {
  const slow = new SlowStore(new MemoryStore(diskBlocks * blockSize), { isHeld: true });
  const initiator = new Initiator({}, { store: () => slow });
  const write = (value: number, tag: number) => {
    initiator.begin(mayLeave, Message.SimpleTag, tag);
    initiator.command(cdb.write10(5, 1));
    for (let byte = 0; byte < blockSize; byte++) initiator.put(value);
    assert.equal(initiator.get(Phase.MessageIn), Message.SaveDataPointer);
    assert.equal(initiator.get(Phase.MessageIn), Message.Disconnect);
  };
  write(0x11, 1);
  initiator.begin(0x80, Message.SimpleTag, 1, Message.AbortTag);
  write(0x22, 2);
  assert.equal(slow.heldRequests, 1, "the second one waits");
  await slow.releaseAll();
  await later();
  await slow.releaseAll();
  await later();
  assert.deepEqual(comeBack(initiator), { tag: 2, status: 0 });
});

test("an aborted command of several steps does not take the next one", async () => {
  const slow = new SlowStore(new MemoryStore(diskBlocks * blockSize), { isHeld: true });
  const initiator = new Initiator({}, { store: () => slow });
  // COMPARE AND WRITE: zeros are compared with what is there, then 22h is written.
  initiator.begin(mayLeave, Message.SimpleTag, 2);
  initiator.command(Uint8Array.of(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0));
  for (let byte = 0; byte < 2 * blockSize; byte++) initiator.put(byte < blockSize ? 0 : 0x22);
  assert.equal(initiator.get(Phase.MessageIn), Message.SaveDataPointer);
  assert.equal(initiator.get(Phase.MessageIn), Message.Disconnect);
  initiator.begin(0x80, Message.SimpleTag, 2, Message.AbortTag);
  for (let step = 0; step < 3; step++) {
    await slow.releaseAll();
    await later();
  }
  initiator.begin(mayLeave);
  initiator.command(cdb.read10(5, 1));
  assert.equal(initiator.get(Phase.MessageIn), Message.Disconnect);
  await slow.releaseAll();
  await later();
  assert.equal(initiator.rig.wire.acceptReselection(), id);
  initiator.get(Phase.MessageIn);
  assert.equal(initiator.get(Phase.DataIn), 0);
});
