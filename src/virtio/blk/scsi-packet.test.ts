/** SCSI packet commands of 0.9.5, device half, to a logical unit. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { UnsupportedError } from "../../errors/index.js";
import { cdb, Disk, parseSense, ScsiStatus } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import { BareQueues, blkRequestBytes, createBlkLoopback, SlowStore } from "../../testing/index.js";
import { featureSet } from "../../transport/index.js";
import { BlkStatus, BlkType, blkFeatures, knownBlkFeatures, VirtioBlkDevice } from "./index.js";

const tail = 96 + 16 + 1;
const content = Uint8Array.from({ length: 64 * 512 }, (_, index) => (index >> 9) + index);

function bare(endianness: "little" | "big", options: { slow?: boolean; powerOnAttention?: boolean } = {}) {
  const memory = MemoryStore.of(content);
  const store = options.slow ? new SlowStore(memory, { longestDelay: 1 }) : memory;
  const scsi = new Disk(store, { powerOnAttention: options.powerOnAttention ?? false });
  const device = new VirtioBlkDevice(store, { scsi });
  return { device, queues: new BareQueues(device, { endianness }) };
}

/** Header, CDB and data; cut where each ends. */
function packet(
  endianness: "little" | "big",
  command: Uint8Array,
  data = new Uint8Array(0),
  type: number = BlkType.ScsiCommand,
) {
  const readable = blkRequestBytes(endianness, type, 0, new Uint8Array([...command, ...data]));
  return { readable, cuts: [16, 16 + command.length] };
}

function decode(answer: Uint8Array, endianness: "little" | "big") {
  const view = new DataView(answer.buffer, answer.byteOffset + answer.length - tail, tail);
  const word = (index: number) => view.getUint32(96 + 4 * index, endianness === "little");
  return {
    sense: answer.slice(answer.length - tail, answer.length - tail + 96),
    ...{ errors: word(0), dataLength: word(1), senseLength: word(2), residual: word(3) },
    status: answer[answer.length - 1],
  };
}

for (const endianness of ["little", "big"] as const) {
  test(`R-809, R-810 (${endianness}): READ(10): data, sense, four words, status`, () => {
    const { queues } = bare(endianness);
    const { readable, cuts } = packet(endianness, cdb.read10(3, 2));
    const { answer, written } = queues.send(0, readable, 1024 + tail, cuts, [1024, 1024 + 96, 1024 + 112]);
    assert.deepEqual(answer.slice(0, 1024), content.slice(3 * 512, 5 * 512));
    const { sense, ...words } = decode(answer, endianness);
    assert.deepEqual(words, { errors: 0, dataLength: 1024, senseLength: 0, residual: 0, status: BlkStatus.Ok });
    assert.ok(sense.every((byte) => byte === 0));
    assert.equal(written, 1024 + tail);
  });

  test(`R-809 (${endianness}): CHECK CONDITION is OK with errors, sense and its length`, () => {
    const { queues } = bare(endianness);
    const { readable, cuts } = packet(endianness, cdb.read10(1000, 1), undefined, BlkType.ScsiCommandOut);
    const { answer } = queues.send(0, readable, 512 + tail, cuts);
    const { sense, errors, senseLength, residual, status } = decode(answer, endianness);
    assert.deepEqual([status, errors, residual], [BlkStatus.Ok, ScsiStatus.CheckCondition, 512]);
    const parsed = parseSense(sense.subarray(0, senseLength));
    assert.deepEqual([parsed?.key, parsed?.asc], [5, 0x21]);
  });
}

test("R-806, R-809: SCSI_CMD_OUT is SCSI_CMD: the CDB says the direction", () => {
  for (const type of [BlkType.ScsiCommand, BlkType.ScsiCommandOut]) {
    const { queues } = bare("big");
    const { readable, cuts } = packet("big", cdb.write10(8, 1), new Uint8Array(512).fill(0x42), type);
    const { answer } = queues.send(0, readable, tail, cuts);
    assert.deepEqual([decode(answer, "big").errors, decode(answer, "big").status], [0, BlkStatus.Ok]);
    const back = queues.send(0, blkRequestBytes("big", BlkType.In, 8), 513);
    assert.ok(back.answer.slice(0, 512).every((byte) => byte === 0x42));
  }
});

test("R-809: a short answer leaves a residual", () => {
  const { queues } = bare("big");
  const { readable, cuts } = packet("big", cdb.inquiry(36));
  const { answer } = queues.send(0, readable, 100 + tail, cuts);
  const { residual, dataLength } = decode(answer, "big");
  assert.deepEqual([residual, dataLength], [64, 100]);
  assert.equal(answer[0], 0);
});

test("R-809: a store that answers late, and a unit attention", async () => {
  const { queues } = bare("big", { slow: true, powerOnAttention: true });
  const first = packet("big", cdb.read10(0, 1));
  const attention = queues.send(0, first.readable, 512 + tail, first.cuts);
  assert.equal(parseSense(decode(attention.answer, "big").sense)?.key, 6);
  const read = queues.submit(0, first.readable, 512 + tail, first.cuts);
  queues.notify(0);
  assert.equal(read.done, false);
  while (!read.done) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    queues.poll();
  }
  assert.deepEqual(read.answer.slice(0, 512), content.slice(0, 512));
  assert.equal(decode(read.answer, "big").status, BlkStatus.Ok);
});

test("what is no packet command gets IOERR and is counted", () => {
  const { queues } = bare("big");
  const status = (readable: Uint8Array, writable: number, cuts: readonly number[]) =>
    queues.send(0, readable, writable, cuts).answer.at(-1);
  assert.equal(status(blkRequestBytes("big", BlkType.ScsiCommand, 0), tail, []), BlkStatus.IoError, "no CDB");
  const long = packet("big", new Uint8Array(261));
  assert.equal(status(long.readable, tail, long.cuts), BlkStatus.IoError, "a CDB longer than any");
  const read = packet("big", cdb.read10(0, 1));
  assert.equal(status(read.readable, tail - 1, read.cuts), BlkStatus.IoError, "no room for the tail");
  assert.deepEqual(queues.violations, ["request-data-length", "request-data-length", "response-space-short"]);
  assert.equal(status(read.readable, 511 + tail, read.cuts), BlkStatus.IoError, "less room than the CDB moves");
});

test("without the SCSI feature a packet command is UNSUPP", () => {
  const scsi = new Disk(new MemoryStore(512));
  const queues = new BareQueues(new VirtioBlkDevice(new MemoryStore(512), { scsi }), { features: 0n });
  const { readable, cuts } = packet("little", cdb.testUnitReady());
  assert.equal(queues.send(0, readable, tail, cuts).answer.at(-1), BlkStatus.Unsupported);
});

for (const transport of ["legacy-be", "legacy-le"] as const) {
  test(`R-809 (${transport}): packet commands from our driver to our device`, async () => {
    const store = MemoryStore.of(content);
    const scsi = new Disk(store, { powerOnAttention: false });
    const features = knownBlkFeatures | featureSet(blkFeatures.SCSI);
    const loop = await createBlkLoopback({ transport, store, device: { scsi }, driver: { features } });
    const { driver } = loop;
    const dataIn = new Uint8Array(1024);
    const read = await driver.executeScsi(cdb.read10(5, 2), { dataIn });
    assert.deepEqual([read.errors, read.sense.length, read.residual], [0, 0, 0]);
    assert.deepEqual(dataIn, content.slice(5 * 512, 7 * 512));
    const dataOut = new Uint8Array(512).fill(9);
    assert.equal((await driver.executeScsi(cdb.write10(5, 1), { dataOut })).errors, 0);
    await driver.readSectors(5, dataOut.fill(0));
    assert.ok(dataOut.every((byte) => byte === 9));
    const refused = await driver.executeScsi(cdb.read10(64, 1), { dataIn: new Uint8Array(512) });
    assert.deepEqual([refused.errors, refused.residual], [ScsiStatus.CheckCondition, 512]);
    assert.equal(parseSense(refused.sense)?.asc, 0x21);
    await loop.close();
  });
}

test("a modern device takes no packet commands", async () => {
  const loop = await createBlkLoopback();
  await assert.rejects(loop.driver.executeScsi(cdb.testUnitReady()), UnsupportedError);
  await loop.close();
});
