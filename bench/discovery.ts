/** `ringside bench discovery`: what an attached disk costs in memory, and how long finding 1, 8 and 64 takes. */
import { boards, findVirtioAdapters, openAdapter } from "../src/machine/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { Disk, ScsiBus } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { discoverUnits, VirtioScsiDevice, VirtioScsiDriver } from "../src/virtio/index.js";
import { median } from "./compare.js";

const rounds = 5;

export async function benchDiscovery(print: (line: string) => void): Promise<void> {
  print(`bring-up and discovery of disks on one adapter (256 targets looked at), medians of ${rounds} rounds`);
  await discover(1);
  for (const disks of [1, 8, 64]) {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) times.push(await discover(disks));
    const time = median(times);
    print(
      `  ${`${disks}`.padStart(2)} disks  ${time.toFixed(2).padStart(8)} ms   ${(time / disks).toFixed(3)} ms a disk`,
    );
  }
  print(`memory of an attached disk that was never used: ${(await bytesPerDisk()).toFixed(0)} bytes`);
}

async function discover(disks: number): Promise<number> {
  const machine = new EmbeddedMachine(boards.pegasos2, { ramSize: 16 << 20 });
  machine.plugVirtio(new VirtioScsiDevice(busWith(disks)), { classCode: 0x010000 });
  const start = performance.now();
  const [adapter] = findVirtioAdapters(machine);
  const driver = await VirtioScsiDriver.open(openAdapter(machine, adapter));
  const units = await discoverUnits(driver);
  const time = performance.now() - start;
  if (units.length !== disks) throw new Error(`${units.length} of ${disks} disks found`);
  await driver.close();
  await machine.close();
  return time;
}

function busWith(disks: number): ScsiBus {
  const bus = new ScsiBus();
  for (let target = 0; target < disks; target++) bus.attach(target, 0, new Disk(new MemoryStore(1 << 30)));
  return bus;
}

/** Heap and buffers that 4096 disks add, a disk. */
async function bytesPerDisk(): Promise<number> {
  const kept: ScsiBus[] = [];
  const used = () => {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = used();
  for (let bus = 0; bus < 16; bus++) kept.push(busWith(256));
  return (used() - before) / (kept.length * 256);
}
