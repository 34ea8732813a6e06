/** Requests, virtio 1.2 §5.6.6.1: layout, addresses, response codes, residuals, both directions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommandFault } from "../../observe/index.js";
import { cdb, encodeVirtioLun, parseSense, ScsiBus, ScsiStatus, unitAddress } from "../../scsi/index.js";
import {
  BareQueues,
  BidirectionalUnit,
  createLoopback,
  exchangeCdb,
  exchanged,
  memoryDisk,
} from "../../testing/index.js";
import { featureSet } from "../../transport/index.js";
import {
  knownScsiFeatures,
  requestHeader,
  responseHeader,
  ScsiResponse,
  scsiConfig,
  scsiFeatures,
  VirtioScsiDevice,
  type VirtioScsiOptions,
} from "./index.js";

const { Ok, Overrun, BadTarget, Failure } = ScsiResponse;

function bare(endianness: "little" | "big" = "little", options: VirtioScsiOptions = {}) {
  const bus = new ScsiBus();
  bus.attach(0, 0, memoryDisk(0, 0).unit);
  const device = new VirtioScsiDevice(bus, options);
  return { bus, device, queues: new BareQueues(device, { endianness }) };
}

/** A request, byte by byte as R-1309 says. */
function request(lun: readonly number[], command: Uint8Array, data: Uint8Array = new Uint8Array(0), cdbSize = 32) {
  const bytes = new Uint8Array(19 + cdbSize + data.length);
  bytes.set(lun);
  bytes[8] = 0x42;
  bytes.set(command, 19);
  bytes.set(data, 19 + cdbSize);
  return bytes;
}

const here = [1, 0, 0x40, 0];

function decode(answer: Uint8Array, little: boolean) {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength);
  const [senseLength, residual] = [view.getUint32(0, little), view.getUint32(4, little)];
  return { senseLength, residual, qualifier: view.getUint16(8, little), status: answer[10], response: answer[11] };
}

test("R-1302, R-1309, R-1310: sizes and offsets of the structures", () => {
  assert.equal(scsiConfig.size, 36);
  assert.deepEqual(
    { ...scsiConfig.offset },
    {
      ...{ numQueues: 0, segMax: 4, maxSectors: 8, cmdPerLun: 12, eventInfoSize: 16, senseSize: 20, cdbSize: 24 },
      ...{ maxChannel: 28, maxTarget: 30, maxLun: 32 },
    },
  );
  assert.equal(requestHeader.size + 32, 51);
  assert.equal(responseHeader.size + 96, 108);
});

for (const endianness of ["little", "big"] as const) {
  const little = endianness === "little";

  test(`R-1309, R-1310 (${endianness}): TEST UNIT READY, by hand-made bytes`, () => {
    const { queues } = bare(endianness);
    const answer = queues.send(2, request(here, cdb.testUnitReady()), 108);
    assert.equal(answer.written, 108);
    assert.deepEqual(decode(answer.answer, little), {
      ...{ senseLength: 0, residual: 0, qualifier: 0 },
      ...{ status: ScsiStatus.Good, response: Ok },
    });
  });

  test(`R-609, R-1314, R-1315 (${endianness}): CHECK CONDITION has its sense length, residual counts what was not moved`, () => {
    const { queues } = bare(endianness);
    const bad = queues.send(2, request(here, Uint8Array.of(0xff)), 108 + 512);
    const header = decode(bad.answer, little);
    assert.deepEqual([header.status, header.response, header.residual], [ScsiStatus.CheckCondition, Ok, 512]);
    assert.equal(header.senseLength, 18);
    assert.equal(parseSense(bad.answer.subarray(12, 30))?.asc, 0x20);
    const inquiry = queues.send(2, request(here, cdb.inquiry(255)), 108 + 255);
    const length = inquiry.answer[108 + 4] + 5;
    assert.equal(decode(inquiry.answer, little).residual, 255 - length);
    assert.equal(inquiry.written, 108 + length);
  });

  test(`R-616 (${endianness}): descriptor boundaries mean nothing: every cut of a request gives the same answer`, () => {
    const { queues } = bare(endianness);
    const data = Uint8Array.from({ length: 512 }, (_, index) => index & 0xff);
    const write = request(here, cdb.write10(3, 1), data);
    for (let cut = 1; cut < 60; cut++) {
      const answer = queues.send(2, write, 108, [cut, cut + 1, cut + 40]);
      assert.deepEqual(decode(answer.answer, little).response, Ok, `cut at ${cut}`);
    }
    const back = queues.send(2, request(here, cdb.read10(3, 1)), 108 + 512);
    assert.deepEqual(back.answer.subarray(108), data);
  });
}

test("R-1317: a CDB that wants more than the buffers hold is OVERRUN, and nothing is moved", () => {
  const { queues } = bare();
  const read = queues.send(2, request(here, cdb.read10(0, 2)), 108 + 1023);
  assert.deepEqual(decode(read.answer, true).response, Overrun);
  assert.equal(decode(read.answer, true).residual, 1023);
  const write = queues.send(2, request(here, cdb.write10(0, 2), new Uint8Array(1023).fill(9)), 108);
  assert.equal(decode(write.answer, true).response, Overrun);
  const back = queues.send(2, request(here, cdb.read10(0, 2)), 108 + 1024);
  assert.ok(back.answer.subarray(108).every((byte) => byte === 0));
});

test("R-1312, A-20: every form of LUN that names a unit is taken, every other is BAD TARGET", () => {
  const { bus, queues } = bare();
  bus.attach(255, 255, memoryDisk(255, 255).unit);
  bus.attach(255, 16383, memoryDisk(255, 16383).unit);
  const send = (lun: readonly number[]) => decode(queues.send(2, request(lun, cdb.testUnitReady()), 108).answer, true);
  for (const good of [
    [1, 0, 0, 0],
    [1, 0, 0x40, 0],
    [1, 255, 0, 255],
    [1, 255, 0x40, 255],
    [1, 255, 0x7f, 255],
  ]) {
    assert.deepEqual([send(good).response, send(good).status], [Ok, 0], `${good}`);
  }
  for (const bad of [
    [0, 0, 0x40, 0],
    [2, 0, 0x40, 0],
    [1, 1, 0x40, 0],
    [1, 0, 0x80, 0],
    [1, 0, 0xc0, 0],
    [1, 0, 0xff, 0xff],
    [1, 0, 0x40, 0, 1],
    [1, 0, 0x40, 0, 0, 0, 0, 1],
  ]) {
    assert.equal(send(bad).response, BadTarget, `${bad}`);
  }
  const absent = send([1, 0, 0x40, 1]);
  assert.deepEqual([absent.response, absent.status], [Ok, ScsiStatus.CheckCondition]);
  // virtio 1.0: the REPORT LUNS well-known unit.
  assert.equal(send([0xc1, 1, 0, 0]).response, Ok);
});

test("R-1312: 256 targets and 16384 LUNs: a unit in each corner is reached, and only there", async () => {
  const corners = [0, 1, 127, 128, 254, 255].flatMap((target) =>
    [0, 1, 255, 256, 257, 8191, 8192, 16382, 16383].map((lun) => ({ target, lun })),
  );
  const loop = await createLoopback({
    units: corners.map(({ target, lun }) => memoryDisk(target, lun, 1 << 16)),
    ramSize: 16 << 20,
  });
  for (const [index, { target, lun }] of corners.entries()) {
    const data = new Uint8Array(512).fill(index + 1);
    const result = await loop.driver.execute(unitAddress(target, lun), cdb.write10(0, 1), { dataOut: data });
    // Units that came later made the earlier ones of their target report a change.
    if (result.status !== 0) await loop.driver.execute(unitAddress(target, lun), cdb.write10(0, 1), { dataOut: data });
  }
  for (const [index, { target, lun }] of corners.entries()) {
    const data = new Uint8Array(512);
    await loop.driver.execute(unitAddress(target, lun), cdb.read10(0, 1), { dataIn: data });
    assert.ok(
      data.every((byte) => byte === index + 1),
      `${target}/${lun}`,
    );
  }
  assert.throws(() => encodeVirtioLun(unitAddress(256, 0)), RangeError);
  assert.throws(() => encodeVirtioLun(unitAddress(0, 16384)), RangeError);
  await loop.close();
});

test("R-1317: each response code reaches the driver as it is", async () => {
  let fault: CommandFault | undefined;
  const loop = await createLoopback({ faults: { command: () => fault } });
  const unit = unitAddress(0, 0);
  for (const response of Object.values(ScsiResponse)) {
    fault = response === Ok ? undefined : { kind: "response", response };
    const result = await loop.driver.execute(unit, cdb.read10(0, 1), { dataIn: new Uint8Array(512) });
    assert.equal(result.response, response);
    assert.equal(result.residual, response === Ok ? 0 : 512);
    assert.equal(result.sense.length, 0);
  }
  fault = { kind: "error", key: 3, asc: 0x11, ascq: 0 };
  const failed = await loop.driver.execute(unit, cdb.read10(0, 1), { dataIn: new Uint8Array(512) });
  assert.deepEqual([failed.response, failed.status, parseSense(failed.sense)?.key], [Ok, 2, 3]);
  fault = { kind: "delay", milliseconds: 5 };
  assert.equal((await loop.driver.execute(unit, cdb.testUnitReady())).response, Ok);
  await loop.close();
});

test("R-1303, R-1311: sense_size and cdb_size move the data, are read back, and a reset brings the defaults", async () => {
  for (const transport of ["legacy-be", "modern"] as const) {
    const loop = await createLoopback({ transport, driver: { senseSize: 10, cdbSize: 16 } });
    assert.deepEqual([loop.driver.config.senseSize, loop.driver.config.cdbSize], [10, 16]);
    const unit = unitAddress(0, 0);
    const data = new Uint8Array(1024).fill(0x5c);
    assert.equal((await loop.driver.execute(unit, cdb.write10(1, 2), { dataOut: data })).residual, 0);
    const back = new Uint8Array(1024);
    await loop.driver.execute(unit, cdb.read10(1, 2), { dataIn: back });
    assert.deepEqual(back, data);
    const failed = await loop.driver.execute(unit, Uint8Array.of(0xff));
    assert.equal(failed.sense.length, 10, "sense is cut to sense_size");
    await assert.rejects(loop.driver.execute(unit, new Uint8Array(17)), RangeError);
    await loop.driver.close();
    const again = await loop.openDriver({});
    const expected = transport === "modern" ? [10, 16] : [10, 16];
    assert.deepEqual([again.config.senseSize, again.config.cdbSize], expected);
    await again.close();
    const plain = await loop.openDriver({ senseSize: 96, cdbSize: 32 });
    assert.deepEqual([plain.config.senseSize, plain.config.cdbSize], [96, 32]);
    await plain.close();
    await loop.unplug();
    loop.dma?.assertNothingAllocated();
  }
});

test("R-1303: sense_size and cdb_size come back as 96 and 32 with a reset; others are read-only and odd values not taken", () => {
  const { device, queues } = bare();
  const view = new DataView(new ArrayBuffer(scsiConfig.size));
  const read = () => {
    device.readConfig(view, queues.endianness);
    return scsiConfig.read(view, 0, queues.endianness);
  };
  const write = (values: Partial<ReturnType<typeof read>>) => {
    read();
    scsiConfig.write(view, 0, "little", values);
    device.writeConfig(view, "little");
  };
  const before = read();
  write({ senseSize: 252, cdbSize: 260, numQueues: 99, maxLun: 1, segMax: 7 });
  assert.deepEqual(read(), { ...before, senseSize: 252, cdbSize: 260 });
  write({ senseSize: 0xffff_ffff, cdbSize: 0 });
  assert.deepEqual([read().senseSize, read().cdbSize], [252, 260]);
  device.reset();
  assert.deepEqual(read(), before);
  assert.deepEqual([before.senseSize, before.cdbSize, before.eventInfoSize], [96, 32, 16]);
  assert.deepEqual([before.maxChannel, before.maxTarget, before.maxLun], [0, 255, 16383]);
});

test("R-1318: data both ways without INOUT is FAILURE at once, whatever the command", async () => {
  const loop = await createLoopback({ units: [{ target: 0, lun: 0, unit: new BidirectionalUnit() }] });
  const result = await loop.driver.execute(unitAddress(0, 0), exchangeCdb(8, 8), {
    dataOut: new Uint8Array(8),
    dataIn: new Uint8Array(8),
  });
  assert.deepEqual([result.response, result.residual], [Failure, 16]);
  await loop.close();
});

for (const transport of ["legacy-be", "modern"] as const) {
  test(`R-1315 ${transport}: with INOUT a command moves data both ways; residual counts dataout first`, async () => {
    const inout = { features: knownScsiFeatures | featureSet(scsiFeatures.INOUT) };
    const units = [
      { target: 0, lun: 0, unit: new BidirectionalUnit() },
      { target: 0, lun: 1, unit: new BidirectionalUnit({ take: 60 }) },
      { target: 0, lun: 2, unit: new BidirectionalUnit({ give: 20 }) },
    ];
    const loop = await createLoopback({ transport, units, device: { inout: true }, driver: inout, startIndex: 65_533 });
    assert.ok(loop.driver.link.has(scsiFeatures.INOUT));
    const dataOut = Uint8Array.from({ length: 100 }, (_, index) => index);
    const exchange = async (lun: number, take: number, give: number) => {
      const dataIn = new Uint8Array(50);
      const result = await loop.driver.execute(unitAddress(0, lun), exchangeCdb(take, give), { dataOut, dataIn });
      return { dataIn, ...result };
    };
    const whole = await exchange(0, 100, 50);
    assert.deepEqual([whole.response, whole.status, whole.residual], [Ok, 0, 0]);
    assert.deepEqual(whole.dataIn, exchanged(dataOut, 50));
    // Below the size of datain: dataout was taken whole.
    const part = await exchange(2, 100, 50);
    assert.equal(part.residual, 30);
    assert.deepEqual(part.dataIn.subarray(0, 20), exchanged(dataOut, 20));
    // Above it: dataout in part, datain not at all.
    assert.equal((await exchange(1, 100, 50)).residual, 90);
    assert.deepEqual(
      [(await exchange(0, 101, 50)).response, (await exchange(0, 100, 51)).response],
      [Overrun, Overrun],
    );
    await loop.close();
  });
}

test("requests whose header or answer is cut go back empty and are named, and the device goes on", () => {
  const { queues } = bare();
  const whole = request(here, cdb.testUnitReady());
  for (const length of [1, 18, 50]) {
    assert.equal(queues.send(2, whole.subarray(0, length), 108).written, 0);
    assert.equal(queues.violations.pop(), "request-header-short");
  }
  for (const room of [0, 11, 107]) {
    assert.equal(queues.send(2, whole, room).written, 0);
    assert.equal(queues.violations.pop(), "response-space-short");
  }
  assert.equal(queues.send(2, whole, 108).written, 108);
  assert.equal(queues.failures.length, 0);
});

test("R-1304: requests end on the queue where they started", async () => {
  const loop = await createLoopback({
    device: { requestQueues: 3 },
    driver: { requestQueues: 3 },
    transport: "legacy-be",
  });
  assert.equal(loop.driver.requestQueues, 3);
  await Promise.all(
    Array.from({ length: 30 }, async (_, index) => {
      const data = new Uint8Array(512).fill(index);
      await loop.driver.execute(unitAddress(0, 0), cdb.write10(index, 1), { dataOut: data, queue: index % 3 });
      const back = new Uint8Array(512);
      await loop.driver.execute(unitAddress(0, 0), cdb.read10(index, 1), { dataIn: back, queue: (index + 1) % 3 });
      assert.deepEqual(back, data);
    }),
  );
  await loop.close();
});

test("a queue that is full makes requests wait; they go in order and none is lost", async () => {
  const loop = await createLoopback({ indirect: false, device: { queueSize: 8 }, startIndex: 65_535 });
  const results = await Promise.all(
    Array.from({ length: 200 }, (_, index) => {
      const data = new Uint8Array(512).fill(index);
      return loop.driver.execute(unitAddress(0, 0), cdb.write10(0, 1), { dataOut: data });
    }),
  );
  assert.ok(results.every(({ response, status }) => response === Ok && status === 0));
  const last = new Uint8Array(512);
  await loop.driver.execute(unitAddress(0, 0), cdb.read10(0, 1), { dataIn: last });
  assert.ok(
    last.every((byte) => byte === 199),
    "the last write is the one that stands",
  );
  const request = loop.driver.acquireRequest();
  loop.driver.address(request, unitAddress(0, 0));
  let taken = 0;
  const more = Array.from({ length: 9 }, () => loop.driver.acquireRequest());
  for (const one of more) {
    loop.driver.address(one, unitAddress(0, 0));
    one.cdb.fill(0);
    if (loop.driver.submit(one)) taken++;
  }
  assert.equal(taken, 4, "8 descriptors, 2 for each request");
  loop.driver.flush();
  assert.equal(loop.driver.poll(), 4);
  await loop.close();
});
