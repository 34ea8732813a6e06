/**
 * Ring round trip: driver add of a chain of three descriptors, device pop, push, driver reap, in one thread. The
 * yardstick is `ring-loop.c`, the same work in C, built and run beside it.
 */
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../src/memory/index.js";
import {
  ChainPieces,
  compactLayout,
  createQueueDevice,
  createQueueDriver,
  layoutAt,
  legacyLayout,
  type QueueDevice,
  type QueueDriver,
  type RingFormat,
} from "../src/virtqueue/index.js";

export interface RingLoopOptions {
  format: RingFormat;
  indirect: boolean;
  eventIndex: boolean;
  inOrder: boolean;
  endianness: "little" | "big";
  shared: boolean;
  /** Somebody looks, and ignores what it sees. Default nobody does: then looking costs a branch each time. */
  observed?: boolean;
  rounds: number;
}

/** Nanoseconds per round trip. */
export function ringRoundTrip(options: RingLoopOptions): number {
  const size = 256;
  const { indirect, eventIndex, inOrder, endianness } = options;
  const memory = new GuestMemory([new MemoryRegion(0, new Uint8Array(1 << 24), { shared: options.shared })]);
  const dma = new GuestDma(memory, new DmaAllocator(memory, 0, 1 << 20));
  const layout = endianness === "big" ? legacyLayout(size) : compactLayout(size);
  const addresses = layoutAt(layout, dma.allocate(layout.byteLength, layout.alignment).address);
  const observer = options.observed ? { emit: () => {} } : undefined;
  const common = { index: 0, size, addresses, endianness, indirect, eventIndex, inOrder, observer };
  const driver = createQueueDriver<number>(options.format, memory, { ...common, dma });
  const device = createQueueDevice(options.format, memory, common);
  let checksum = run(driver, device, 300_000);
  const start = process.cpuUsage();
  checksum += run(driver, device, options.rounds);
  const { user, system } = process.cpuUsage(start);
  if (checksum === 0) throw new Error("nothing was done");
  return ((user + system) * 1000) / options.rounds;
}

function run(driver: QueueDriver<number>, device: QueueDevice, rounds: number): number {
  const pieces = new ChainPieces();
  let sum = 0;
  for (let round = 0; round < rounds; round++) {
    pieces.clear();
    pieces.addReadable(0x110000 + (round & 63) * 8192, 16);
    pieces.addWritable(0x220000 + (round & 63) * 4096, 4096);
    pieces.addWritable(0x111000, 1);
    driver.add(pieces, round);
    driver.publish();
    for (let chain = device.pop(); chain !== undefined; chain = device.pop()) {
      sum += chain.readable.byteLength;
      device.push(chain, chain.writable.byteLength);
    }
    device.publish();
    for (let cookie = driver.reap(); cookie !== undefined; cookie = driver.reap()) sum += driver.usedLength + cookie;
  }
  return sum;
}
