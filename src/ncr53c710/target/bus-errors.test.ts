/** What a target does about errors on the bus (SCSI-2 §6.6): wrong parity, and the messages that tell of errors. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FaultHook } from "../../observe/index.js";
import { cdb, parseSense } from "../../scsi/index.js";
import { Message, Phase } from "../index.js";
import { blockSize, hostId, makeRig } from "../rig.test.js";
import { Initiator } from "./initiator-rig.test.js";

const id = 6;

const read = cdb.read10(0, 1);
const write = cdb.write10(0, 1);
const parity = "b/47/0";
const detected = "b/48/0";

test("a CDB with wrong parity is not carried out: CHECK CONDITION, ABORTED COMMAND, SCSI PARITY ERROR", () => {
  for (let spoiled = 0; spoiled < 10; spoiled++) {
    const initiator = new Initiator().begin();
    initiator.command(write, spoiled);
    assert.equal(initiator.end(), 2, `byte ${spoiled}`);
    assert.equal(initiator.sense(), parity);
  }
});

test("data with wrong parity is not written", () => {
  const initiator = new Initiator().begin();
  initiator.command(write);
  for (let index = 0; index < blockSize; index++) {
    assert.equal(initiator.target.phase(), Phase.DataOut);
    initiator.put(0xee, index === 100);
  }
  assert.equal(initiator.end(), 2);
  assert.equal(initiator.sense(), parity);
  initiator.begin();
  initiator.command(read);
  for (let index = 0; index < blockSize; index++) assert.equal(initiator.get(Phase.DataIn), 0);
  assert.equal(initiator.end(), 0);
});

test("a message phase with wrong parity is asked for again, as a whole, and nothing of it is obeyed twice", () => {
  const initiator = new Initiator();
  assert.ok(initiator.target.selected(hostId, true));
  const message = [0x80, 1, 3, 1, 25, 8, Message.NoOperation];
  initiator.say(message, [6]);
  assert.equal(initiator.target.phase(), Phase.MessageOut, "again");
  initiator.target.attention(true);
  initiator.say(message);
  const answer = Array.from({ length: 5 }, () => initiator.get(Phase.MessageIn));
  assert.deepEqual(answer, [1, 3, 1, 25, 8]);
  initiator.command(cdb.testUnitReady());
  assert.equal(initiator.end(), 0);
});

test("an initiator that gets no message across is left alone", () => {
  const { target } = new Initiator();
  assert.ok(target.selected(hostId, true));
  let asked = 0;
  for (; target.phase() === Phase.MessageOut && asked < 100; asked++) {
    target.attention(false);
    target.parityWrong();
    target.send(Uint8Array.of(0x80), 0, 1);
  }
  assert.equal(asked, 4);
  assert.equal(target.phase(), -2);
});

test("ATN that falls before a first byte does not end the phase: REQ stands for it already", () => {
  const { target } = new Initiator();
  assert.ok(target.selected(hostId, true));
  target.attention(false);
  assert.equal(target.phase(), Phase.MessageOut);
  target.send(Uint8Array.of(0x80), 0, 1);
  assert.equal(target.phase(), Phase.Command);
});

test("INITIATOR DETECTED ERROR ends a command with ABORTED COMMAND, in data, after the CDB's message, after status", () => {
  const inData = new Initiator().begin();
  inData.command(read);
  for (let index = 0; index < 3; index++) inData.get(Phase.DataIn);
  // ATN is heard with the next byte.
  inData.get(Phase.DataIn, true);
  inData.get(Phase.DataIn);
  inData.say([Message.InitiatorDetectedError]);
  assert.equal(inData.end(), 2);
  assert.equal(inData.sense(), detected);

  const atBegin = new Initiator();
  assert.ok(atBegin.target.selected(hostId, true));
  atBegin.say([0x80, Message.InitiatorDetectedError]);
  atBegin.command(write);
  assert.equal(atBegin.end(), 2);
  assert.equal(atBegin.sense(), detected);

  const afterStatus = new Initiator().begin();
  afterStatus.command(cdb.testUnitReady());
  assert.equal(afterStatus.get(Phase.Status, true), 0);
  if (afterStatus.target.phase() === Phase.MessageIn) afterStatus.get(Phase.MessageIn);
  afterStatus.say([Message.InitiatorDetectedError]);
  assert.equal(afterStatus.end(), 2, "another status");
  assert.equal(afterStatus.sense(), detected);
});

test("with repeatsAfterError data comes again from where pointers were saved, once, after RESTORE POINTERS", () => {
  const initiator = new Initiator({ repeatsAfterError: 1, disconnectEvery: 200 }).begin();
  initiator.command(write);
  for (let index = 0; index < blockSize; index++) initiator.put(index & 0xff);
  assert.equal(initiator.end(), 0);
  initiator.begin(0xc0);
  initiator.command(read);
  for (let index = 0; index < 200; index++) initiator.get(Phase.DataIn);
  assert.equal(initiator.get(Phase.MessageIn), Message.SaveDataPointer);
  assert.equal(initiator.get(Phase.MessageIn), Message.Disconnect);
  assert.equal(initiator.rig.wire.acceptReselection(), id);
  assert.equal(initiator.get(Phase.MessageIn), 0x80);
  initiator.get(Phase.DataIn);
  for (const isLast of [false, true]) {
    initiator.get(Phase.DataIn, true);
    initiator.get(Phase.DataIn);
    initiator.say([Message.InitiatorDetectedError]);
    if (isLast) break;
    assert.equal(initiator.get(Phase.MessageIn), Message.RestorePointers);
    for (let index = 200; index < 300; index++) assert.equal(initiator.get(Phase.DataIn), index & 0xff);
  }
  assert.equal(initiator.end(), 2);
  assert.equal(initiator.sense(), detected);
});

test("MESSAGE PARITY ERROR brings the message again, also one that was cut; without a message the bus is free", () => {
  const cut = new Initiator();
  assert.ok(cut.target.selected(hostId, true));
  cut.say([0x80, 1, 3, 1, 25, 8]);
  assert.equal(cut.get(Phase.MessageIn), 1);
  assert.equal(cut.get(Phase.MessageIn, true), 3);
  cut.say([Message.ParityError]);
  assert.deepEqual(
    Array.from({ length: 5 }, () => cut.get(Phase.MessageIn)),
    [1, 3, 1, 25, 8],
  );
  cut.command(cdb.testUnitReady());
  cut.get(Phase.Status);
  assert.equal(cut.get(Phase.MessageIn, true), Message.CommandComplete);
  cut.say([Message.ParityError]);
  assert.equal(cut.get(Phase.MessageIn), Message.CommandComplete);
  assert.equal(cut.target.phase(), -2);

  const none = new Initiator();
  assert.ok(none.target.selected(hostId, true));
  none.say([0x80, Message.ParityError]);
  assert.equal(none.target.phase(), -2);
  assert.ok(none.target.selected(hostId, false), "and it can be selected anew");
});

test("MESSAGE REJECT: DISCONNECT is taken back, an agreement too; what was cut is gone; without a message it is rejected", () => {
  const stays = new Initiator({ disconnect: "always" }).begin(0xc0);
  stays.command(read);
  assert.equal(stays.get(Phase.MessageIn, true), Message.Disconnect);
  stays.say([Message.Reject]);
  for (let index = 0; index < blockSize; index++) stays.get(Phase.DataIn);
  assert.equal(stays.end(), 0);

  const refused = new Initiator();
  assert.ok(refused.target.selected(hostId, true));
  refused.say([0x80, 1, 3, 1, 25, 8]);
  assert.notEqual(refused.target.agreements[hostId], undefined);
  assert.equal(refused.get(Phase.MessageIn), 1);
  assert.equal(refused.get(Phase.MessageIn, true), 3);
  refused.say([Message.Reject]);
  assert.equal(refused.target.agreements[hostId], undefined);
  refused.command(cdb.testUnitReady());
  assert.equal(refused.end(), 0);

  const none = new Initiator();
  assert.ok(none.target.selected(hostId, true));
  none.say([0x80, Message.Reject]);
  assert.equal(none.get(Phase.MessageIn), Message.Reject);
  none.command(cdb.testUnitReady());
  assert.equal(none.end(), 0);
});

test("through the chip: a parity error of what goes out, by the fault hook, is found by the target", () => {
  for (const [phase, expected] of [
    [Phase.Command, parity],
    [Phase.DataOut, parity],
  ] as const) {
    let isDue = true;
    const faults: FaultHook = {
      wireTransfer: (point) => {
        if (point.phase !== phase || !isDue) return undefined;
        isDue = false;
        return "parity";
      },
    };
    const rig = makeRig({ chip: { faults } });
    rig.load(`
      SELECT ATN 0x40, 0
      MOVE 1, 0x3000, WHEN MSG_OUT
      MOVE 10, 0x3010, WHEN CMD
      JUMP REL(status), WHEN STATUS
      MOVE ${blockSize}, 0x4000, WHEN DATA_OUT
    status:
      MOVE 1, 0x3020, WHEN STATUS
      MOVE 1, 0x3021, WHEN MSG_IN
      CLEAR ACK
      WAIT DISCONNECT
      SELECT ATN 0x40, 0
      MOVE 1, 0x3000, WHEN MSG_OUT
      MOVE 6, 0x3030, WHEN CMD
      MOVE 18, 0x3040, WHEN DATA_IN
      INT 1`);
    rig.memory.write(0x3000, Uint8Array.of(0x80));
    rig.memory.write(0x3010, write);
    rig.memory.write(0x3030, Uint8Array.of(3, 0, 0, 0, 18, 0));
    rig.start();
    assert.equal(rig.long(0x30), 1);
    assert.equal(rig.memory.read(0x3020, 1)[0], 2);
    const { key, asc, ascq } = parseSense(rig.memory.read(0x3040, 18)) ?? { key: 0, asc: 0, ascq: 0 };
    assert.equal([key, asc, ascq].map((part) => part.toString(16)).join("/"), expected);
  }
});
