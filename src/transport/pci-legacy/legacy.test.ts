/** The legacy header over PCI, register by register; virtio 0.9.5 §2, rules R-1xx, R-3xx, R-4xx and R-612. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type AccessWidth, readRegister } from "../../bytes/index.js";
import { DmaAllocator, GuestDma, GuestMemory } from "../../memory/index.js";
import { MsixVectors } from "../../pci/index.js";
import { type LoopbackOptions, plugLoopback } from "../../testing/index.js";
import { ScsiQueue, scsiConfig } from "../../virtio/index.js";
import { ChainPieces, layoutAt, legacyLayout, SplitDriver } from "../../virtqueue/index.js";
import { LegacyPciTransport, noVector } from "../index.js";

/** Offsets as 0.9.5 prints them. */
const at = {
  ...{ deviceFeatures: 0, driverFeatures: 4, queueAddress: 8, queueSize: 12, queueSelect: 14, queueNotify: 16 },
  ...{ status: 18, isr: 19, configVector: 20, queueVector: 22 },
};

function open(options: LoopbackOptions = {}) {
  const plugged = plugLoopback({ transport: "legacy-be", poison: false, ...options });
  plugged.fn.enable({ io: true, memory: true, busMaster: true });
  const header = plugged.fn.bar(0);
  assert.ok(header !== undefined);
  return { ...plugged, header };
}

type Opened = ReturnType<typeof open>;

/** Gives the device a ring by hand, as a historic driver does. */
function makeQueue({ header, machine, fn }: Opened, index: number): SplitDriver<string> {
  header.write16(at.queueSelect, index);
  const size = header.read16(at.queueSize);
  const layout = legacyLayout(size);
  const block = machine.dma.allocate(layout.byteLength, 4096);
  header.write32(at.queueAddress, block.address / 4096);
  assert.equal(header.read32(at.queueAddress), block.address / 4096);
  assert.ok(fn.present);
  const { endianness } = machine.board;
  const common = { index, size, addresses: layoutAt(layout, block.address), endianness };
  return new SplitDriver(machine.memory, { ...common, indirect: false, eventIndex: false, dma: machine.dma });
}

/** TEST UNIT READY to 0/0; gives the place of the answer. */
function send({ machine, header }: Opened, queue: SplitDriver<string>): () => Uint8Array {
  const block = machine.dma.allocate(51 + 108);
  const { bytes } = block.region;
  bytes.set([1, 0, 0x40, 0], block.offset);
  const pieces = new ChainPieces();
  pieces.addReadable(block.address, 51);
  pieces.addWritable(block.address + 51, 108);
  assert.ok(queue.add(pieces, "sent"));
  if (queue.publish()) header.write16(at.queueNotify, queue.index);
  return () => bytes.slice(block.offset + 51, block.offset + 51 + 12);
}

test("R-301, R-302: vendor, device, revision, subsystem of a SCSI host", () => {
  const { fn } = open();
  assert.deepEqual([fn.vendorId, fn.deviceId, fn.revision, fn.subsystemId], [0x1af4, 0x1004, 0, 8]);
});

test("R-101, R-102: status values, and a reset that reads 0 and unmaps everything", () => {
  const loop = open();
  const { header, adapter } = loop;
  for (const status of [1, 3, 7, 0x87]) {
    header.write8(at.status, status);
    assert.equal(header.read8(at.status), status);
  }
  makeQueue(loop, 2);
  header.write8(at.status, 0);
  assert.equal(header.read8(at.status), 0);
  header.write16(at.queueSelect, 2);
  assert.equal(header.read32(at.queueAddress), 0);
  assert.equal(adapter.core.queues[2].enabled, false);
});

test("R-203: bits 30 and 31 are not offered; R-204: what is not offered is not taken", () => {
  const { header } = open();
  const offered = header.read32(at.deviceFeatures);
  assert.equal(offered & 0xc000_0000, 0);
  header.write32(at.driverFeatures, 0xffff_ffff);
  assert.equal(header.read32(at.driverFeatures), offered);
});

test("R-105: a driver that never touches the status register is served", () => {
  const loop = open();
  assert.equal(loop.header.read8(at.status), 0);
  const queue = makeQueue(loop, ScsiQueue.FirstRequest);
  const answer = send(loop, queue);
  assert.equal(queue.reap(), "sent");
  assert.deepEqual([...answer()], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(loop.header.read8(at.isr), 1);
});

test("R-106: with FAILED set nothing is served until the reset", () => {
  const loop = open();
  const queue = makeQueue(loop, ScsiQueue.FirstRequest);
  loop.header.write8(at.status, 0x83);
  send(loop, queue);
  assert.equal(queue.reap(), undefined);
});

test("R-501: queues that do not exist have size 0, and what is written to them goes nowhere", () => {
  const { header } = open({ device: { requestQueues: 2 } });
  for (let index = 0; index < 4; index++) {
    header.write16(at.queueSelect, index);
    assert.equal(header.read16(at.queueSize), 256);
  }
  for (const index of [4, 5, 0x7fff, 0xffff]) {
    header.write16(at.queueSelect, index);
    assert.equal(header.read16(at.queueSize), 0);
    header.write32(at.queueAddress, 1);
    assert.equal(header.read32(at.queueAddress), 0);
    header.write16(at.queueNotify, index);
  }
});

test("R-303, R-308: the header is little-endian, the configuration is in the guest's order", () => {
  const big = open({ transport: "legacy-be" });
  const little = open({ transport: "legacy-le" });
  const queues = 20 + scsiConfig.offset.senseSize;
  assert.equal(little.header.read32(queues), 96);
  assert.equal(big.header.read32(queues), 0x6000_0000);
  assert.equal(big.header.read16(at.queueSize), 256);
});

test("R-307: the configuration gives the same bytes at every width", () => {
  for (const transport of ["legacy-be", "legacy-le"] as const) {
    const { header } = open({ transport });
    const bytesBy = (width: AccessWidth) => {
      const bytes: number[] = [];
      for (let offset = 0; offset < scsiConfig.size; offset += width) {
        let value = readRegister(header, 20 + offset, width);
        for (let byte = 0; byte < width; byte++) {
          bytes.push(value % 256);
          value = Math.floor(value / 256);
        }
      }
      return bytes;
    };
    assert.deepEqual(bytesBy(1), bytesBy(4));
    assert.deepEqual(bytesBy(2), bytesBy(4));
  }
});

test("R-304 to R-306: enabling MSI-X puts two vectors at 20 and moves the configuration to 24 at once; disabling moves it back", () => {
  const { header, fn } = open({ transport: "legacy-le" });
  const senseSize = scsiConfig.offset.senseSize;
  assert.equal(header.read32(20 + senseSize), 96);
  const msix = MsixVectors.open(fn);
  assert.ok(msix !== undefined);
  msix.enable();
  assert.equal(header.read32(24 + senseSize), 96);
  assert.equal(header.read16(at.configVector), noVector);
  header.write16(at.configVector, 0);
  assert.equal(header.read16(at.configVector), 0);
  msix.disable();
  assert.equal(header.read32(20 + senseSize), 96);
});

test("R-401 to R-405: vectors are unmapped at first, read back, refused past the table, one for each queue", () => {
  const { header, fn } = open({ vectors: 2 });
  MsixVectors.open(fn)?.enable();
  for (const [queue, vector] of [
    [0, 1],
    [2, 0],
  ]) {
    header.write16(at.queueSelect, queue);
    assert.equal(header.read16(at.queueVector), noVector);
    header.write16(at.queueVector, vector);
    assert.equal(header.read16(at.queueVector), vector);
  }
  header.write16(at.queueVector, 2);
  assert.equal(header.read16(at.queueVector), noVector, "a mapping that fails reads NO_VECTOR");
  header.write16(at.queueSelect, 0);
  assert.equal(header.read16(at.queueVector), 1);
  header.write8(at.status, 0);
  assert.equal(header.read16(at.queueVector), noVector);
});

test("R-612: a used buffer sets ISR bit 0 and raises the line; reading clears both", () => {
  const loop = open();
  const queue = makeQueue(loop, ScsiQueue.FirstRequest);
  assert.equal(loop.header.read8(at.isr), 0);
  send(loop, queue);
  assert.equal(loop.adapter.function.interruptLevel, true);
  assert.equal(loop.header.read8(at.isr), 1);
  assert.equal(loop.adapter.function.interruptLevel, false);
  assert.equal(loop.header.read8(at.isr), 0);
});

test("R-613, A-10: a configuration change sets bit 1; both bits come together", () => {
  const loop = open();
  const queue = makeQueue(loop, ScsiQueue.FirstRequest);
  loop.adapter.core.configChanged();
  assert.equal(loop.adapter.function.interruptLevel, true);
  send(loop, queue);
  assert.equal(loop.header.read8(at.isr), 3);
  loop.adapter.core.configChanged();
  loop.header.write8(at.status, 0);
  assert.equal(loop.adapter.function.interruptLevel, false, "a reset lowers the line");
});

test("R-406, R-407, R-614: with MSI-X messages go to mapped vectors only, ISR stays 0 and the line low", () => {
  const loop = open();
  const { header, machine, fn, adapter } = loop;
  const msix = MsixVectors.open(fn);
  assert.ok(msix !== undefined);
  msix.enable();
  const mailbox = machine.dma.allocate(64, 64);
  for (const vector of [0, 1]) msix.program(vector, { address: mailbox.address + 4 * vector, data: 0x55 + vector });
  const read = (vector: number) => mailbox.region.view.getUint32(mailbox.offset + 4 * vector, true);
  const queue = makeQueue(loop, ScsiQueue.FirstRequest);
  send(loop, queue);
  adapter.core.configChanged();
  assert.deepEqual([read(0), read(1)], [0, 0], "nothing is mapped");
  header.write16(at.configVector, 0);
  header.write16(at.queueSelect, ScsiQueue.FirstRequest);
  header.write16(at.queueVector, 1);
  send(loop, queue);
  assert.deepEqual([read(0), read(1)], [0, 0x56]);
  adapter.core.configChanged();
  assert.deepEqual([read(0), read(1)], [0x55, 0x56]);
  assert.deepEqual([header.read8(at.isr), adapter.function.interruptLevel], [0, false]);
});

test("R-502, R-503: the ring lies at page × address, parts as the legacy layout says; a ring outside memory is counted", () => {
  const { header, adapter } = open();
  header.write16(at.queueSelect, 1);
  header.write32(at.queueAddress, 5);
  assert.deepEqual(adapter.core.queues[1].addresses, layoutAt(legacyLayout(256), 5 * 4096));
  header.write16(at.queueSelect, 2);
  header.write32(at.queueAddress, 0xffff_ffff);
  assert.equal(adapter.core.violations.get("ring-outside-memory"), 1);
  assert.equal(header.read8(at.status), 0, "R-108: a legacy device has no NEEDS_RESET");
});

test("a driver that breaks the ring's rules gets silence from a legacy device, and the rule is counted", () => {
  const loop = open();
  const queue = makeQueue(loop, ScsiQueue.FirstRequest);
  const { available } = loop.adapter.core.queues[2].addresses;
  loop.machine.memory.write(available + 2, Uint8Array.of(0x7f, 0xff));
  loop.header.write16(at.queueNotify, 2);
  assert.equal(loop.adapter.core.violations.get("avail-index-jump"), 1);
  loop.header.write16(at.queueNotify, 2);
  assert.equal(loop.adapter.core.violations.get("avail-index-jump"), 1);
  assert.equal(queue.reap(), undefined);
});

test("R-502: a ring is never given at address 0, which would take the queue away", () => {
  const loop = open();
  const memory = GuestMemory.ofSize(1 << 20);
  const dma = new GuestDma(memory, new DmaAllocator(memory, 0, 1 << 20));
  const transport = new LegacyPciTransport(loop.fn, {
    ...{ memory, dma, guestEndianness: "big" as const },
    interrupts: { attachLine: () => () => {} },
  });
  assert.ok(transport.setUpQueue(0, 256).descriptors > 0);
  transport.freeQueues();
  assert.equal(dma.allocator.allocatedBytes, 0);
});
