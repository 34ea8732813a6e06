/**
 * READ(10) of 4 KiB through driver, ring, device, target and memory store, in one thread, at the ring level of the
 * driver.
 */
import { boards, findVirtioAdapters, openAdapter } from "../src/machine/index.js";
import { Scatter } from "../src/memory/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { cdb, Disk, ScsiBus, unitAddress } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { VirtioScsiDevice, VirtioScsiDriver } from "../src/virtio/index.js";
import { countScavenges, processorTime } from "./compare.js";

const blockBytes = 4096;
const storeBytes = 16 << 20;
const depth = 32;

export interface ScsiLoop {
  /** Sends `batches` of 32 commands. @throws Error when one fails. */
  run(batches: number): void;
  /** Nanoseconds of processor time for a command. */
  measureRequests(batches: number): number;
  /** Nanoseconds for copying 4 KiB between as many places, and nothing else. */
  measureCopies(count: number): number;
  /** Minor garbage collections while `requests` commands run. */
  countScavenges(requests: number): Promise<number>;
  close(): Promise<void>;
}

/** Brings up a PC with one disk in memory, and 32 requests that are used again and again. */
export async function openScsiLoop(registers: "legacy" | "modern"): Promise<ScsiLoop> {
  const machine = new EmbeddedMachine(boards.pc, { ramSize: 64 << 20 });
  const store = new MemoryStore(storeBytes);
  // Every block is there: reading zeros from a hole would be a different, cheaper thing.
  await store.write(0, Scatter.of(new Uint8Array(storeBytes).fill(0x5a)), storeBytes);
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(store, { powerOnAttention: false }));
  machine.plugVirtio(new VirtioScsiDevice(bus), { classCode: 0x010000 });
  const [adapter] = findVirtioAdapters(machine);
  const driver = await VirtioScsiDriver.open(openAdapter(machine, adapter, { registers }));
  const data = machine.dma.allocate(depth * blockBytes, 4096);
  const requests = Array.from({ length: depth }, (_, index) => {
    const request = driver.acquireRequest();
    driver.address(request, unitAddress(0, 0));
    request.cdb.set(cdb.read10(0, 8));
    request.addIn(data.address + index * blockBytes, blockBytes);
    return request;
  });
  const run = (batches: number) => {
    let failed = 0;
    for (let batch = 0; batch < batches; batch++) {
      for (let index = 0; index < depth; index++) {
        const request = requests[index];
        const lba = ((batch * depth + index) & 4095) * 8;
        request.cdb[4] = lba >>> 8;
        request.cdb[5] = lba;
        if (!driver.submit(request)) failed++;
      }
      driver.flush();
      driver.poll();
      for (let index = 0; index < depth; index++) if (requests[index].status !== 0) failed++;
    }
    if (failed > 0) throw new Error(`${failed} requests failed`);
  };
  return {
    run,
    measureRequests: (batches) => processorTime(() => run(batches)) / (batches * depth),
    measureCopies: bareCopy,
    countScavenges: (count) => countScavenges(() => run(Math.ceil(count / depth))),
    async close() {
      await driver.close();
      await machine.close();
    },
  };
}

function bareCopy(count: number): number {
  const source = new Uint8Array(storeBytes).fill(0x5a);
  const target = new Uint8Array(depth * blockBytes);
  const views = Array.from({ length: storeBytes / blockBytes }, (_, index) =>
    source.subarray(index * blockBytes, (index + 1) * blockBytes),
  );
  const run = (rounds: number) => {
    for (let round = 0; round < rounds; round++) target.set(views[round & 4095], (round & 31) * blockBytes);
  };
  run(50_000);
  return processorTime(() => run(count)) / count;
}
