/** `ringside bench scsi`: a virtio-scsi READ(10) through every layer, and what it allocates. */
import { median } from "./compare.js";
import { RingLoopInC } from "./ring.js";
import { openScsiLoop } from "./scsi-read.js";

const rounds = 5;

export async function benchScsi(print: (line: string) => void): Promise<void> {
  const yardstick = new RingLoopInC();
  const loop = await openScsiLoop();
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
    const collections = await loop.countScavenges(10_000_000);
    print(`minor garbage collections in 10 M requests: ${collections}`);
  } finally {
    await loop.close();
    yardstick.close();
  }
}
