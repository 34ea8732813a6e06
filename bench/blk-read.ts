/** IN of 4 KiB through driver, ring, device and memory store, in one thread, at the ring level of the driver. */
import { boards, findVirtioAdapters, openAdapter } from "../src/machine/index.js";
import { Scatter } from "../src/memory/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { BlkStatus, BlkType, VirtioBlkDevice, VirtioBlkDriver } from "../src/virtio/index.js";
import { countScavenges, processorTime } from "./compare.js";

const blockBytes = 4096;
const storeBytes = 16 << 20;
const depth = 32;

export interface BlkLoop {
  /** Sends `batches` of 32 requests. @throws Error when one fails. */
  run(batches: number): void;
  /** Nanoseconds of processor time for a request. */
  measureRequests(batches: number): number;
  /** Minor garbage collections while `requests` requests run. */
  countScavenges(requests: number): Promise<number>;
  close(): Promise<void>;
}

/** Brings up a PC with one disk in memory, and 32 requests that are used again and again. */
export async function openBlkLoop(
  type: typeof BlkType.In | typeof BlkType.Out,
  registers: "legacy" | "modern",
): Promise<BlkLoop> {
  const machine = new EmbeddedMachine(boards.pc, { ramSize: 64 << 20 });
  const store = new MemoryStore(storeBytes);
  // Every block is there: reading zeros from a hole would be a different, cheaper thing.
  await store.write(0, Scatter.of(new Uint8Array(storeBytes).fill(0x5a)), storeBytes);
  machine.plugVirtio(new VirtioBlkDevice(store), { classCode: 0x018000 });
  const [adapter] = findVirtioAdapters(machine);
  const driver = await VirtioBlkDriver.open(openAdapter(machine, adapter, { registers }));
  const data = machine.dma.allocate(depth * blockBytes, 4096);
  const requests = Array.from({ length: depth }, (_, index) => {
    const request = driver.acquireRequest();
    request.setHeader(type, 0);
    if (type === BlkType.In) request.addIn(data.address + index * blockBytes, blockBytes);
    else request.addOut(data.address + index * blockBytes, blockBytes);
    return request;
  });
  const run = (batches: number) => {
    let failed = 0;
    for (let batch = 0; batch < batches; batch++) {
      for (let index = 0; index < depth; index++) {
        const request = requests[index];
        request.setSector(((batch * depth + index) & 4095) * 8);
        if (!driver.submit(request)) failed++;
      }
      driver.flush();
      driver.poll();
      for (let index = 0; index < depth; index++) if (requests[index].status !== BlkStatus.Ok) failed++;
    }
    if (failed > 0) throw new Error(`${failed} requests failed`);
  };
  return {
    run,
    measureRequests: (batches) => processorTime(() => run(batches)) / (batches * depth),
    countScavenges: (count) => countScavenges(() => run(Math.ceil(count / depth))),
    async close() {
      await driver.close();
      await machine.close();
    },
  };
}
