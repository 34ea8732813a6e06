/** The ring as the kernel's header lays it out: three pages, and nothing in them beyond its structures. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { boards, type FoundMmioAdapter, findVirtioAdapters, mmioParts } from "../../machine/index.js";
import type { Observer } from "../../observe/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import { MemoryStore } from "../../storage/index.js";
import { VirtioBlkDevice } from "../../virtio/index.js";
import { SplitDriver } from "../../virtqueue/index.js";
import { Xv6Disk, xv6Profiles } from "./index.js";

test("R-511, R-1505: strict: 8 entries, each part on a page of its own, and no event index is written or read", async () => {
  const machine = new EmbeddedMachine(boards["riscv-virt"], { ramSize: 16 << 20 });
  const device = machine.plugMmio(new VirtioBlkDevice(new MemoryStore(1 << 20)), { tolerant: true });
  const hardware = mmioParts(machine, findVirtioAdapters(machine)[0] as FoundMmioAdapter, {});
  const disk = await Xv6Disk.open(xv6Profiles.strict, hardware);
  const { addresses, size } = device.core.queues[0];
  const { descriptors, available, used } = addresses;
  assert.equal(size, 8);
  assert.equal(new Set([descriptors, available, used]).size, 3);
  for (const address of [descriptors, available, used]) assert.equal(address % 4096, 0);
  const [region] = machine.memory.regions;
  const page = (address: number) => region.bytes.subarray(address - region.base, address - region.base + 4096);
  // used_event ("unused" in the header) and avail_event, which the header's structure ends before: values that would
  // suppress everything if somebody looked at them.
  page(available)[20] = 0x34;
  page(used)[68] = 0x34;
  const data = machine.dma.allocate(1024, 1024);
  for (let index = 0; index < 20; index++) await disk.transfer(index, data, index % 2 === 0);
  assert.equal(new DataView(region.bytes.buffer, region.bytes.byteOffset).getUint16(used - region.base + 2, true), 20);
  const rest = (address: number, from: number) => [...page(address).subarray(from)].filter((byte) => byte !== 0);
  assert.deepEqual([rest(descriptors, 8 * 16), rest(available, 20), rest(used, 68)], [[], [0x34], [0x34]]);
  await disk.close();
  await machine.close();
});

test("R-1511: strict: an interrupt is acknowledged before the used ring is looked at", async (context) => {
  const machine = new EmbeddedMachine(boards["riscv-virt"], { ramSize: 16 << 20 });
  machine.plugMmio(new VirtioBlkDevice(new MemoryStore(1 << 20)), { tolerant: true });
  const order: string[] = [];
  const observer: Observer = {
    emit({ category, name, fields }) {
      if (category === "registers" && name === "write") order.push(String(fields["register"]));
    },
  };
  const hardware = mmioParts(machine, findVirtioAdapters(machine)[0] as FoundMmioAdapter, { observer });
  const disk = await Xv6Disk.open(xv6Profiles.strict, hardware);
  const reap = SplitDriver.prototype.reap;
  context.mock.method(SplitDriver.prototype, "reap", function (this: SplitDriver<unknown>) {
    order.push("reap");
    return reap.call(this);
  });
  order.length = 0;
  await disk.transfer(1, machine.dma.allocate(1024, 1024), false);
  assert.deepEqual(order, ["queueNotify", "interruptAck", "reap", "reap"]);
  await disk.close();
  await machine.close();
});
