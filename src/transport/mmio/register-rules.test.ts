/** The registers by the numbers that 0.9.5 appendix X prints, and where notifications go. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { boards, findVirtioAdapters, openAdapter } from "../../machine/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import { ScsiBus } from "../../scsi/index.js";
import { VirtioScsiDevice } from "../../virtio/index.js";
import { mmioConfigOffset, mmioLegacyRegisters } from "./registers.js";

test("R-1401: offsets and directions of version 1", () => {
  const printed = Object.values(mmioLegacyRegisters)
    .map(({ offset, access }) => `${offset.toString(16).padStart(3, "0")} ${access}`)
    .sort();
  assert.deepEqual(printed, [
    ...["000 read", "004 read", "008 read", "00c read", "010 read", "014 write", "020 write", "024 write"],
    ...["028 write", "030 write", "034 read", "038 write", "03c write", "040 read-write", "050 write"],
    ...["060 read", "064 write", "070 read-write"],
  ]);
  const { guestPageSize, queueSelect, queueSizeMax, queueSize, queueAlign, queuePage } = mmioLegacyRegisters;
  assert.deepEqual(
    [guestPageSize, queueSelect, queueSizeMax, queueSize, queueAlign, queuePage].map(({ offset }) => offset),
    [0x28, 0x30, 0x34, 0x38, 0x3c, 0x40],
  );
  const { queueNotify, interruptStatus, interruptAck, status } = mmioLegacyRegisters;
  assert.deepEqual(
    [queueNotify, interruptStatus, interruptAck, status].map(({ offset }) => offset),
    [0x50, 0x60, 0x64, 0x70],
  );
  assert.equal(mmioConfigOffset, 0x100);
});

for (const version of [1, 2] as const) {
  test(`R-1407, A-28: version ${version}: our driver writes the queue's index to 0x050, and that queue is served`, () => {
    const machine = new EmbeddedMachine(boards["riscv-virt"], { ramSize: 1 << 20 });
    const type = new VirtioScsiDevice(new ScsiBus(), { requestQueues: 2 });
    const device = machine.plugMmio(type, { version, slot: 2 });
    const served: number[] = [];
    type.notified = (index) => served.push(index);
    const transport = openAdapter(machine, findVirtioAdapters(machine)[0]);
    for (const queue of [0, 1, 2, 3]) transport.setUpQueue(queue, 4);
    transport.writeStatus(7);
    served.length = 0;
    const written: number[][] = [];
    const write = device.window.write32.bind(device.window);
    device.window.write32 = (offset, value) => {
      written.push([offset, value]);
      write(offset, value);
    };
    for (const queue of [3, 0, 2, 1]) transport.notify(queue);
    assert.deepEqual(served, [3, 0, 2, 1]);
    assert.deepEqual(
      written,
      served.map((queue) => [0x50, queue]),
    );
  });
}
