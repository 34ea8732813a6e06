/** `ringside bench blk`: virtio-blk reads and writes through every layer, and what they allocate. */
import { BlkType } from "../src/virtio/index.js";
import { openBlkLoop } from "./blk-read.js";
import { median } from "./compare.js";
import { RingLoopInC } from "./ring.js";
import { openScsiLoop } from "./scsi-read.js";

const rounds = 5;

export async function benchBlk(print: (line: string) => void): Promise<void> {
  const yardstick = new RingLoopInC();
  const reads = await openBlkLoop(BlkType.In, "modern");
  const writes = await openBlkLoop(BlkType.Out, "modern");
  const scsi = await openScsiLoop("modern");
  try {
    print(`IN and OUT of 4 KiB: driver, ring, device, memory store; medians of ${rounds} alternating rounds`);
    for (const loop of [reads, writes, scsi]) loop.run(5000);
    const times: Record<string, number[]> = { c: [], copy: [], read: [], write: [], scsi: [] };
    for (let round = 0; round < rounds; round++) {
      times["c"].push(yardstick.run());
      times["copy"].push(scsi.measureCopies(640_000));
      times["read"].push(reads.measureRequests(20_000));
      times["write"].push(writes.measureRequests(20_000));
      times["scsi"].push(scsi.measureRequests(20_000));
    }
    const line = (name: string, value: number, more = "") =>
      print(`${name.padEnd(24)} ${value.toFixed(1).padStart(7)} ns${more}`);
    const base = median(times["c"]);
    const copy = median(times["copy"]);
    line("C ring round trip", base);
    line("bare copy of 4 KiB", copy);
    for (const [name, key] of [
      ["IN", "read"],
      ["OUT", "write"],
      ["READ(10) over virtio-scsi", "scsi"],
    ] as const) {
      const above = median(times[key]) - copy;
      line(name, median(times[key]), `   above the copy ${above.toFixed(1)} ns, ${(above / base).toFixed(1)} × C`);
    }
    for (const registers of ["legacy", "modern"] as const) print(await collections(registers));
  } finally {
    for (const loop of [reads, writes, scsi]) await loop.close();
    yardstick.close();
  }
}

async function collections(registers: "legacy" | "modern"): Promise<string> {
  const loop = await openBlkLoop(BlkType.In, registers);
  loop.run(20_000);
  const count = await loop.countScavenges(10_000_000);
  await loop.close();
  return `minor garbage collections in 10 M requests, ${registers} registers: ${count}`;
}
