/**
 * READ(10) of 4 KiB through driver, ring, device, target and memory store, in one thread, at the ring level of the
 * driver: what a request costs above the bare copy of its data.
 */
import { boards, findVirtioAdapters, openAdapter } from "../src/machine/index.js";
import { Scatter } from "../src/memory/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { cdb, Disk, ScsiBus, unitAddress } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { VirtioScsiDevice, VirtioScsiDriver } from "../src/virtio/index.js";

export interface ScsiReadResult {
  /** Nanoseconds of processor time for a READ(10), and for copying 4 KiB from the same places to the same places. */
  readonly request: number;
  readonly copy: number;
}

const blockBytes = 4096;
const storeBytes = 16 << 20;
const depth = 32;

/** Measures `rounds` batches of 32 READ(10) commands. */
export async function scsiRead(rounds: number): Promise<ScsiReadResult> {
  const machine = new EmbeddedMachine(boards.pc, { ramSize: 64 << 20 });
  const store = new MemoryStore(storeBytes);
  // Every block is there: reading zeros from a hole would be a different, cheaper thing.
  await store.write(0, Scatter.of(new Uint8Array(storeBytes).fill(0x5a)), storeBytes);
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(store, { powerOnAttention: false }));
  machine.plugVirtio(new VirtioScsiDevice(bus), { classCode: 0x010000 });
  const [adapter] = findVirtioAdapters(machine);
  const driver = await VirtioScsiDriver.open(openAdapter(machine, adapter.fn));
  const data = machine.dma.allocate(depth * blockBytes, 4096);
  const requests = Array.from({ length: depth }, (_, index) => {
    const request = driver.acquireRequest();
    driver.address(request, unitAddress(0, 0));
    request.cdb.set(cdb.read10(index * 8, 8));
    request.addIn(data.address + index * blockBytes, blockBytes);
    return request;
  });
  let failed = 0;
  const run = (count: number) => {
    for (let round = 0; round < count; round++) {
      for (let index = 0; index < depth; index++) {
        const request = requests[index];
        const lba = ((round * depth + index) & 4095) * 8;
        request.cdb[4] = lba >>> 8;
        request.cdb[5] = lba;
        if (!driver.submit(request)) failed++;
      }
      driver.flush();
      driver.poll();
      for (let index = 0; index < depth; index++) if (requests[index].status !== 0) failed++;
    }
  };
  run(3000);
  const request = measure(() => run(rounds)) / (rounds * depth);
  const copy = bareCopy(rounds * depth);
  await driver.close();
  await machine.close();
  if (failed > 0) throw new Error(`${failed} requests failed`);
  return { request, copy };
}

/** The same 4 KiB moves between the same amounts of memory, and nothing else. */
function bareCopy(count: number): number {
  const source = new Uint8Array(storeBytes);
  const target = new Uint8Array(depth * blockBytes);
  const views = Array.from({ length: storeBytes / blockBytes }, (_, index) =>
    source.subarray(index * blockBytes, (index + 1) * blockBytes),
  );
  const run = (rounds: number) => {
    for (let round = 0; round < rounds; round++) target.set(views[round & 4095], (round & 31) * blockBytes);
  };
  run(100_000);
  return measure(() => run(count)) / count;
}

function measure(work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) * 1000;
}
