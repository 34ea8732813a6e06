/** virtio-console, both halves against each other (0.9.5 appendix E, virtio 1.2 §5.3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceError } from "../../errors/index.js";
import {
  type LoopbackMachineOptions,
  type LoopbackTransport,
  loopDevice,
  plugIntoMachine,
} from "../../testing/index.js";
import {
  type ConsoleDriverOptions,
  ConsoleEvent,
  type ConsolePort,
  consoleConfig,
  consoleControl,
  consoleFeatures,
  consoleResize,
  knownConsoleFeatures,
  portOfQueue,
  receiveQueueOf,
  transmitQueueOf,
  VirtioConsoleDevice,
  VirtioConsoleDriver,
  type VirtioConsoleOptions,
  writeEmergency,
} from "./index.js";

const transports: readonly LoopbackTransport[] = ["legacy-be", "legacy-le", "modern"];
const threePorts = [{}, { name: "org.ringside.a" }, { name: "org.ringside.b", isOpen: false }];

interface Setting extends LoopbackMachineOptions {
  readonly device?: VirtioConsoleOptions;
  readonly driver?: ConsoleDriverOptions;
}

async function loop({ device, driver, ...machine }: Setting = {}) {
  const half = new VirtioConsoleDevice(device);
  const seen: string[] = [];
  const onPort: ConsoleDriverOptions["onPort"] = (port, what) => seen.push(`${what} ${port.id}`);
  const open = loopDevice(half, (transport) => VirtioConsoleDriver.open(transport, { onPort, ...driver }), machine);
  const found = await open;
  const port = (id: number) => found.driver.ports.get(id) as ConsolePort;
  return { ...found, device: half, seen, port };
}

/** Collects what arrives. */
function inbox(listen: (listener: (bytes: Uint8Array) => void) => void): { bytes: number[]; text: () => string } {
  const bytes: number[] = [];
  listen((more) => bytes.push(...more));
  return { bytes, text: () => new TextDecoder().decode(Uint8Array.from(bytes)) };
}

function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 5 + seed + (index >>> 7)) & 0xff);
}

test("R-901: queues 0 and 1 are port 0's, 2 and 3 carry control, pairs from 4 on are the other ports'", () => {
  assert.deepEqual([0, 1, 2, 30].map(receiveQueueOf), [0, 4, 6, 62]);
  assert.deepEqual([0, 1, 2, 30].map(transmitQueueOf), [1, 5, 7, 63]);
  const owners = Array.from({ length: 10 }, (_, queue) => portOfQueue(queue));
  assert.deepEqual(owners, [0, 0, undefined, undefined, 1, 1, 2, 2, 3, 3]);
  assert.equal(new VirtioConsoleDevice().queueSizes.length, 2);
  assert.equal(new VirtioConsoleDevice({ maxPorts: 4 }).queueSizes.length, 10);
  assert.equal(new VirtioConsoleDevice({ multiport: true }).queueSizes.length, 4);
});

test("R-904: a control message is id, event, value in 8 packed bytes; events have the numbers 0 to 7", () => {
  const names = ["DeviceReady", "PortAdd", "PortRemove", "PortReady", "ConsolePort", "Resize", "PortOpen", "PortName"];
  assert.deepEqual(
    Object.entries(ConsoleEvent),
    names.map((name, number) => [name, number]),
  );
  for (const [endianness, hex, size] of [
    ["little", "0100000006000100", "500019001900500050001900"],
    ["big", "0000000100060001", "005000190019005000500019"],
  ] as const) {
    const view = new DataView(new ArrayBuffer(8));
    consoleControl.write(view, 0, endianness, { id: 1, event: 6, value: 1 });
    assert.equal(Buffer.from(view.buffer).toString("hex"), hex);
    const sizes = new DataView(new ArrayBuffer(12));
    consoleResize["columns-first"].write(sizes, 0, endianness, { columns: 80, rows: 25 });
    consoleResize["rows-first"].write(sizes, 4, endianness, { columns: 80, rows: 25 });
    consoleConfig.write(new DataView(sizes.buffer, 8), 0, endianness, { columns: 80, rows: 25 });
    assert.equal(Buffer.from(sizes.buffer).toString("hex"), size);
  }
});

for (const transport of transports) {
  test(`R-901 ${transport}: bytes of every port stay on its own queues, both ways`, async () => {
    const { device, driver, port, close, until } = await loop({ transport, device: { ports: [{}, {}, {}] } });
    await until(() => driver.ports.size === 3 && device.ports.every((half) => half.guestIsOpen));
    const host = [0, 1, 2].map((id) => inbox((listener) => (device.port(id).onData = listener)));
    const guest = [0, 1, 2].map((id) => inbox((listener) => (port(id).onData = listener)));
    await Promise.all([0, 1, 2].map((id) => port(id).write(pattern(10_000, id))));
    for (const id of [0, 1, 2]) assert.equal(device.port(id).send(pattern(20_000, 100 + id)), 20_000);
    await until(() => guest.every(({ bytes }) => bytes.length === 20_000));
    for (const id of [0, 1, 2]) {
      assert.deepEqual(Uint8Array.from(host[id].bytes), pattern(10_000, id));
      assert.deepEqual(Uint8Array.from(guest[id].bytes), pattern(20_000, 100 + id));
    }
    await close();
  });

  test(`R-902 ${transport}: columns, rows and the number of ports lie at 0, 2 and 4 in the order of the transport`, async () => {
    const device = { ports: [{}, {}], maxPorts: 3, size: { columns: 0x0150, rows: 0x0032 } };
    const found = await loop({ transport, device });
    const big = transport === "legacy-be";
    const bytes = Array.from({ length: 8 }, (_, at) => found.adapter.core.readConfig(at, 1));
    assert.deepEqual(bytes, big ? [1, 0x50, 0, 0x32, 0, 0, 0, 3] : [0x50, 1, 0x32, 0, 3, 0, 0, 0]);
    assert.deepEqual(found.port(0).size, { columns: 0x150, rows: 0x32 });
    assert.ok(found.driver.link.has(consoleFeatures.SIZE) && found.driver.link.has(consoleFeatures.MULTIPORT));
    await found.close();
  });

  test(`R-903 ${transport}: with SIZE a resize is a configuration change`, async () => {
    const { device, port, close, until } = await loop({ transport, device: { size: { columns: 80, rows: 25 } } });
    const sizes: unknown[] = [];
    port(0).onChange(() => sizes.push(port(0).size));
    assert.deepEqual(port(0).size, { columns: 80, rows: 25 });
    device.resize({ columns: 132, rows: 43 });
    await until(() => sizes.length > 0);
    assert.deepEqual(sizes, [{ columns: 132, rows: 43 }]);
    await close();
  });

  for (const resizeOrder of ["rows-first", "columns-first"] as const) {
    test(`R-904, A-34 ${transport}: RESIZE reaches every console port, ${resizeOrder}`, async () => {
      const ports = [{}, { isConsole: true }, {}];
      const half = { ports, resizeOrder, size: { columns: 80, rows: 25 } };
      const { device, driver, port, close, until } = await loop({ transport, device: half, driver: { resizeOrder } });
      await until(() => driver.ports.size === 3 && port(1).size !== undefined);
      device.resize({ columns: 200, rows: 50 });
      await until(() => port(1).size?.columns === 200);
      assert.deepEqual(port(1).size, { columns: 200, rows: 50 });
      assert.equal(port(2).size, undefined);
      await close();
    });
  }

  test(`R-905 ${transport}: ready, ports, their names and ends; hot-plug by the same messages`, async () => {
    const { device, driver, port, seen, close, until } = await loop({
      transport,
      device: { ports: threePorts, maxPorts: 4 },
    });
    await until(() => driver.ports.size === 3 && port(2).name !== undefined && port(1).isHostOpen);
    assert.deepEqual(
      [0, 1, 2].map((id) => [port(id).name, port(id).isConsole, port(id).isHostOpen]),
      [
        [undefined, true, true],
        ["org.ringside.a", false, true],
        ["org.ringside.b", false, false],
      ],
    );
    device.setOpen(2, true);
    await until(() => port(2).isHostOpen);
    const late = device.addPort({ name: "late" });
    assert.equal(late.id, 3);
    assert.throws(() => device.addPort(), RangeError);
    await until(() => driver.ports.get(3)?.name === "late");
    await until(() => late.guestIsOpen);
    device.removePort(1);
    await until(() => !driver.ports.has(1));
    assert.equal(device.addPort({ name: "again" }).id, 1, "numbers are used again");
    await until(() => driver.ports.get(1)?.name === "again");
    const heard = inbox((listener) => (device.port(1).onData = listener));
    await port(1).write(new TextEncoder().encode("hello"));
    assert.equal(heard.text(), "hello");
    assert.deepEqual(seen, ["added 0", "added 1", "added 2", "added 3", "removed 1", "added 1"]);
    await close();
  });
}

test("R-902: a driver that does not take MULTIPORT has port 0 and no control queues", async () => {
  const features = knownConsoleFeatures & ~2n;
  const found = await loop({ device: { ports: threePorts }, driver: { features } });
  assert.deepEqual(found.seen, ["added 0"]);
  const heard = inbox((listener) => (found.device.port(0).onData = listener));
  await found.port(0).write(new TextEncoder().encode("plain"));
  assert.equal(heard.text(), "plain");
  const answer = inbox((listener) => (found.port(0).onData = listener));
  found.device.port(0).send(new TextEncoder().encode("too"));
  await found.until(() => answer.text() === "too");
  await found.close();
});

test("the guest's end: opened by itself or on request, and what was sent before waits for it", async () => {
  const { device, driver, port, close, until } = await loop({
    device: { ports: [{}, {}] },
    driver: { opensPorts: false },
  });
  await until(() => driver.ports.size === 2);
  const ends: boolean[] = [];
  device.port(1).onGuestOpen = (isOpen) => ends.push(isOpen);
  device.port(1).send(pattern(10, 1));
  const heard = inbox((listener) => (port(1).onData = listener));
  assert.equal(device.port(1).buffered, 10);
  port(1).setOpen(true);
  await until(() => heard.bytes.length === 10);
  port(1).setOpen(false);
  await until(() => ends.length === 2);
  assert.deepEqual(ends, [true, false]);
  await close();
});

test("bounds: the device takes what fits its buffer and says when there is room; a paused port leaves data with the guest", async () => {
  const { device, port, close, until } = await loop({ device: { ports: [{ bufferLimit: 1000 }] } });
  const half = device.port(0);
  let room = 0;
  half.onRoom = () => room++;
  const heard = inbox((listener) => (port(0).onData = listener));
  let sent = half.send(pattern(30_000, 0));
  assert.ok(sent < 30_000);
  while (sent < 30_000) {
    const before = room;
    await until(() => room > before || half.buffered === 0);
    sent += half.send(pattern(30_000, 0).subarray(sent));
  }
  await until(() => heard.bytes.length === 30_000);
  assert.deepEqual(Uint8Array.from(heard.bytes), pattern(30_000, 0));
  const told = inbox((listener) => (half.onData = listener));
  half.pause();
  let isWritten = false;
  const writing = port(0)
    .write(pattern(100, 3))
    .then(() => {
      isWritten = true;
    });
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([isWritten, told.bytes.length], [false, 0]);
  half.resume();
  await writing;
  assert.equal(told.bytes.length, 100);
  await close();
});

for (const transport of transports) {
  test(`emergency write, ${transport}: characters without a queue, by the driver and before there is one`, async () => {
    const device = new VirtioConsoleDevice();
    const characters: number[] = [];
    device.onEmergency = (character) => characters.push(character);
    const { openTransport, machine } = plugIntoMachine(device, 0x078000, { transport });
    const closed = openTransport();
    assert.equal(writeEmergency(closed, 0x21), true);
    const driver = await VirtioConsoleDriver.open(openTransport());
    const offered = driver.link.has(consoleFeatures.EMERG_WRITE);
    assert.equal(driver.emergencyWrite(0x41), offered);
    driver.transport.writeConfig(8, 1, 0x42);
    assert.deepEqual(characters, [0x21, 0x41, 0x42]);
    await driver.close();
    await machine.close();
  });
}

test("an emergency on a device that has none, and one that nobody else takes goes to port 0", async () => {
  const without = await loop({ device: { emergencyWrite: false } });
  assert.equal(without.driver.emergencyWrite(0x41), false);
  assert.equal(writeEmergency(without.driver.transport, 0x41), false);
  await without.close();
  const found = await loop();
  const heard = inbox((listener) => (found.device.port(0).onData = listener));
  found.driver.emergencyWrite(0x5a);
  assert.equal(heard.text(), "Z");
  await found.close();
});

for (const transport of transports) {
  test(`${transport}: removal under load fails each write once, those that waited for room too`, async () => {
    const { device, driver, port, close, dma } = await loop({
      ...{ transport, startIndex: 65_530, driver: { startIndex: 65_530 } },
    });
    device.port(0).pause();
    const ends: string[] = [];
    const writes = Array.from({ length: 60 }, () =>
      port(0)
        .write(pattern(3000, 1))
        .then(
          () => ends.push("written"),
          (error: Error) => ends.push(error.message),
        ),
    );
    await driver.close(new DeviceError("pulled out"));
    await Promise.all(writes);
    assert.deepEqual(ends, new Array(60).fill("pulled out"));
    await assert.rejects(port(0).write(pattern(1, 1)), /not there/);
    dma?.assertNothingAllocated();
    await close();
  });
}

test("a port that is pulled out under load: its writes end, the other port goes on", async () => {
  const { device, driver, port, close, until } = await loop({ device: { ports: [{}, {}] } });
  await until(() => driver.ports.size === 2 && device.port(1).guestIsOpen);
  const gone = port(1);
  device.port(1).pause();
  const writes = Promise.allSettled(Array.from({ length: 20 }, () => gone.write(pattern(100, 1))));
  device.removePort(1);
  await until(() => !driver.ports.has(1));
  const settled = await writes;
  assert.equal(settled.length, 20);
  const after = device.addPort();
  const heard = inbox((listener) => (after.onData = listener));
  await until(() => driver.ports.has(1) && after.guestIsOpen);
  await port(1).write(Uint8Array.of(9));
  assert.deepEqual(heard.bytes, [9], "nothing that was meant for the port before");
  await assert.rejects(gone.write(pattern(1, 1)), /not there/);
  await port(0).write(pattern(100, 2));
  await close();
});

test("freeze and restore: ports come back as they were, with their listeners; writes in between are refused", async () => {
  const { device, driver, port, seen, close, until } = await loop({ device: { ports: threePorts } });
  await until(() => driver.ports.size === 3 && port(1).isHostOpen);
  const [before, heard] = [port(1), inbox((listener) => (port(1).onData = listener))];
  for (let round = 0; round < 2; round++) {
    await driver.freeze();
    assert.deepEqual([before.isPresent, device.port(1).guestIsOpen], [false, false]);
    await assert.rejects(before.write(pattern(1, 1)), /not there/);
    await driver.restore();
    await until(() => port(1).isPresent && device.port(1).guestIsOpen);
    assert.equal(port(1), before);
    device.port(1).send(Uint8Array.of(round));
    await until(() => heard.bytes.length === round + 1);
  }
  assert.equal(seen.length, 3);
  await close();
});

test("what comes before anybody listens is kept, up to a limit", async () => {
  const { device, port, close, until } = await loop();
  device.port(0).send(pattern(30_000, 4));
  await until(() => device.port(0).buffered === 0);
  const heard = inbox((listener) => (port(0).onData = listener));
  assert.deepEqual(Uint8Array.from(heard.bytes), pattern(30_000, 4));
  await close();
});

test("numbers of ports that cannot be are refused", () => {
  for (const options of [{ maxPorts: 0 }, { maxPorts: 40_000 }, { ports: [{}, {}], maxPorts: 1 }]) {
    assert.throws(() => new VirtioConsoleDevice(options), RangeError);
  }
  assert.throws(() => new VirtioConsoleDevice({ ports: [{}, {}], multiport: false }), RangeError);
  assert.throws(() => new VirtioConsoleDevice().port(1), RangeError);
});
