/** What commands answer without a device: the list, error numbers, local answers (5.5, 5.7, 6 of the reference). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { rightCommands, strictCommands } from "./behaviour.js";
import { Command, commandName, supportedCommands, supportedCommandsLater } from "./command-numbers.js";
import { ioErrorOf } from "./io-errors.js";
import { logPage, smartData, vpdPage } from "./local-answers.js";
import { judgeScsi, type ScsiQuestion } from "./scsi-rules.js";

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
const ascii = (text: string) => Buffer.from(text, "latin1").toString("hex");

test("18: the list has 43 commands in v1.5's order, 45 from v1.10 on", () => {
  assert.equal(supportedCommands.length, 43);
  assert.deepEqual(supportedCommands.slice(0, 5), [2, 3, 4, 5, 8]);
  assert.deepEqual(supportedCommands.slice(-4), [0xe000, 0xe001, 0xe002, 0xe003]);
  assert.equal(new Set(supportedCommands).size, 43);
  assert.deepEqual(supportedCommandsLater.slice(43), [Command.CMD_STOP, Command.CMD_START]);
  assert.equal(commandName(0xa004), "NSCMD_TD_GETGEOMETRY64");
  assert.equal(commandName(0x1234), "command 0x1234");
});

const noSense = new Uint8Array(96);

/** Sense data in fixed format. */
function fixed(key: number): Uint8Array {
  const sense = new Uint8Array(96);
  sense.set([0x70, 0, key, 0, 0, 0, 0, 10]);
  return sense;
}

test("20: every virtio response but OK is TDERR_NotSpecified, in both profiles", () => {
  for (const behaviour of [strictCommands, rightCommands]) {
    for (let response = 1; response <= 9; response++) {
      assert.equal(ioErrorOf(response, 0, noSense, 0, behaviour), 20, `response ${response}`);
    }
  }
});

test("20: every SCSI status but GOOD and CHECK CONDITION is HFERR_BadStatus", () => {
  for (const behaviour of [strictCommands, rightCommands]) {
    assert.equal(ioErrorOf(0, 0, noSense, 0, behaviour), 0);
    for (const status of [0x08, 0x18, 0x28, 0x30, 0x40]) assert.equal(ioErrorOf(0, status, noSense, 0, behaviour), 45);
  }
});

test("20: each sense key has its number", () => {
  const numbers = [0, 0, 33, 27, 33, -3, 29, 28, 45, 45, 45, 20, 45, 45, 45, 45];
  for (const behaviour of [strictCommands, rightCommands]) {
    const found = numbers.map((_, key) => ioErrorOf(0, 2, fixed(key), 18, behaviour));
    assert.deepEqual(found, numbers);
  }
});

test("sense in descriptor format is read by extended, and taken for fixed format by strict", () => {
  const sense = new Uint8Array(96);
  sense.set([0x72, 0x07, 0x27, 0x00]);
  assert.equal(ioErrorOf(0, 2, sense, 8, rightCommands), 28);
  // Byte 2 is the additional code there: 27h & 0Fh.
  assert.equal(ioErrorOf(0, 2, sense, 8, strictCommands), 28);
  sense.set([0x72, 0x05, 0x21, 0x00]);
  assert.equal(ioErrorOf(0, 2, sense, 8, rightCommands), -3);
  assert.equal(ioErrorOf(0, 2, sense, 8, strictCommands), 0);
});

test("what an earlier command left behind the length is no sense for extended", () => {
  assert.equal(ioErrorOf(0, 2, fixed(7), 0, rightCommands), 45);
  assert.equal(ioErrorOf(0, 2, fixed(7), 0, strictCommands), 28);
});

test("22: VPD pages 00, 80 and 83 byte for byte", () => {
  assert.equal(hex(vpdPage(0x00, 3)), "00000003008083");
  assert.equal(hex(vpdPage(0x80, 3)), `0080000d${ascii("VIRTIOSCSI-T3")}`);
  assert.equal(hex(vpdPage(0x83, 3)), `0083001e0201001a${ascii("QEMU    virtioscsi      T3")}`);
  assert.equal(vpdPage(0x80, 3)?.length, 17);
  assert.equal(vpdPage(0x83, 3)?.length, 34);
  assert.equal(vpdPage(0xb0, 3), undefined);
  assert.equal(hex(vpdPage(0x80, 3, 1)), `0080000f${ascii("VIRTIOSCSI-T3L1")}`);
});

test("22: LOG SENSE pages 00 and 2F byte for byte", () => {
  assert.equal(hex(logPage(0)), "00000002002f");
  assert.equal(hex(logPage(0x2f)), `2f00001b00000304000000008000030f${ascii("VirtIO Dummy OK")}`);
  assert.equal(logPage(0x2f)?.length, 31);
  assert.equal(logPage(0x0d), undefined);
});

test("22: ATA SMART data byte for byte; the checksum is 0 in strict and right in extended", () => {
  const expected = new Uint8Array(512);
  const rows = [
    [1, 0x0b, 0, 100, 100, 0, 0, 0, 0, 0, 0, 0],
    [9, 3, 0, 100, 100, 1, 0, 0, 0, 0, 0, 0],
    [12, 3, 0, 100, 100, 1, 0, 0, 0, 0, 0, 0],
    [194, 2, 0, 120, 120, 0x1e, 0, 0, 0, 0x1e, 0, 0],
    [197, 0, 0, 100, 100, 0, 0, 0, 0, 0, 0, 0],
    [198, 0, 0, 100, 100, 0, 0, 0, 0, 0, 0, 0],
  ];
  expected[0] = 6;
  expected.set(rows.flat(), 2);
  expected[510] = 0xc0;
  assert.equal(hex(smartData(false)), hex(expected));
  const right = smartData(true);
  assert.equal(hex(right.subarray(0, 511)), hex(expected.subarray(0, 511)));
  assert.equal(
    right.reduce((sum, byte) => (sum + byte) & 0xff, 0),
    0,
  );
});

const ask = (cdb: readonly number[], room: number, more: Partial<ScsiQuestion> = {}): ScsiQuestion => ({
  ...{ cdb: Uint8Array.from(cdb), room, target: 0, lun: 0, reads: true },
  ...more,
});

test("22: strict sends on six commands and refuses all that it does not know with 05/20/00", () => {
  const forwarded = new Map<number, string>();
  for (let opcode = 0; opcode < 256; opcode++) {
    const verdict = judgeScsi(ask([opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 512), strictCommands);
    if (verdict.kind === "forward") forwarded.set(opcode, `${verdict.length} ${verdict.isWrite}`);
    else if (verdict.kind === "refuse" && ![0x85, 0xa1].includes(opcode)) {
      assert.deepEqual(verdict.sense, { asc: 0x20, ascq: 0 }, `opcode ${opcode.toString(16)}`);
    }
  }
  assert.deepEqual(
    [...forwarded],
    [
      [0x00, "0 false"],
      [0x12, "512 false"],
      [0x25, "512 false"],
      [0x28, "512 false"],
      [0x2a, "512 true"],
    ],
  );
});

test("extended sends on every command, the way that scsi_Flags say", () => {
  for (let opcode = 0; opcode < 256; opcode++) {
    const reads = opcode % 2 === 0;
    const verdict = judgeScsi(ask([opcode, 1, 0, 0, 0, 0], 96, { reads }), rightCommands);
    assert.deepEqual(verdict, { kind: "forward", length: 96, isWrite: !reads });
  }
});

test("22: a VPD page that there is not is 05/24/00; one that does not fit is refused in strict and cut in extended", () => {
  assert.deepEqual(judgeScsi(ask([0x12, 1, 0xb0, 0, 255, 0], 255), strictCommands), {
    kind: "refuse",
    sense: { asc: 0x24, ascq: 0 },
  });
  assert.deepEqual(judgeScsi(ask([0x12, 1, 0x83, 0, 8, 0], 8), strictCommands), { kind: "refuse", sense: undefined });
});

test("INQUIRY and READ CAPACITY without room for an answer are refused in strict", () => {
  for (const cdb of [
    [0x12, 0, 0, 0, 4, 0],
    [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  ]) {
    assert.deepEqual(judgeScsi(ask(cdb, 4), strictCommands), { kind: "refuse", sense: undefined });
  }
});
