/** `ringside bench scsi`: a virtio-scsi READ(10) through every layer, and what it allocates. */
import { median } from "./compare.js";
import { RingLoopInC } from "./ring.js";
import { openScsiLoop } from "./scsi-read.js";

const rounds = 5;

export async function benchScsi(print: (line: string) => void): Promise<void> {
  const yardstick = new RingLoopInC();
  const loop = await openScsiLoop("modern");
  try {
    print(`READ(10) of 4 KiB: driver, ring, device, target, memory store; medians of ${rounds} alternating rounds`);
    loop.run(5000);
    const inC: number[] = [];
    const requests: number[] = [];
    const copies: number[] = [];
    for (let round = 0; round < rounds; round++) {
      inC.push(yardstick.run());
      requests.push(loop.measureRequests(20_000));
      copies.push(loop.measureCopies(640_000));
    }
    const base = median(inC);
    const above = median(requests) - median(copies);
    print(`C ring round trip        ${base.toFixed(1).padStart(7)} ns`);
    print(`bare copy of 4 KiB       ${median(copies).toFixed(1).padStart(7)} ns`);
    print(`request                  ${median(requests).toFixed(1).padStart(7)} ns`);
    print(`request above the copy   ${above.toFixed(1).padStart(7)} ns   ${(above / base).toFixed(1)} × C`);
    for (const registers of ["legacy", "modern"] as const) print(await collections(registers));
  } finally {
    await loop.close();
    yardstick.close();
  }
}

async function collections(registers: "legacy" | "modern"): Promise<string> {
  const loop = await openScsiLoop(registers);
  loop.run(20_000);
  const count = await loop.countScavenges(10_000_000);
  await loop.close();
  return `minor garbage collections in 10 M requests, ${registers} registers: ${count}`;
}
