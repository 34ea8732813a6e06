/** `ringside bench scripts`: SCRIPTS instructions, READ(10) through the 53C710, and virtio-scsi in the same run. */
import { median } from "./compare.js";
import { type InstructionLoop, instructionsPerRead, openChipLoop, openInstructionLoop } from "./scripts-read.js";
import { openScsiLoop } from "./scsi-read.js";

const rounds = 5;
const manyTargets = 7;

/** The first is what scripts do between transfers: arithmetic, a test that fails, a jump. */
const loops: readonly (readonly [name: string, source: string])[] = [
  [
    "registers and jumps",
    `again:
      MOVE SCRATCH0 + 1 TO SCRATCH0
      MOVE SCRATCH0 TO SFBR
      INT 1, IF 0x5a AND MASK 0x00 AND DATA_IN
      JUMP REL(again)`,
  ],
  [
    "memory moves of 16 bytes",
    `again:
      MOVE MEMORY 16, 0x07010000, 0x07020000
      JUMP REL(again)`,
  ],
];

/** Prints the lines of this benchmark. */
export async function benchScripts(print: (line: string) => void): Promise<void> {
  print(`NCR 53C710: medians of ${rounds} alternating rounds`);
  const opened = loops.map(([, source]) => openInstructionLoop(source));
  const instructions = measureInstructions(opened);
  for (const loop of opened) await loop.close();
  for (const [index, [name]] of loops.entries()) {
    const time = instructions[index];
    print(`${name.padEnd(28)}${time.toFixed(1).padStart(9)} ns   ${rate(time)} instructions/s`);
  }
  const one = await openChipLoop(1);
  const many = await openChipLoop(manyTargets);
  const virtio = await openScsiLoop("modern");
  try {
    const times = { one: [] as number[], many: [] as number[], virtio: [] as number[], copy: [] as number[] };
    for (const loop of [one, many]) loop.run(20_000);
    virtio.run(1000);
    for (let round = 0; round < rounds; round++) {
      times.one.push(one.measureReads(50_000));
      times.many.push(many.measureReads(50_000));
      times.virtio.push(virtio.measureRequests(2000));
      times.copy.push(virtio.measureCopies(200_000));
    }
    const read = median(times.one);
    const request = median(times.virtio);
    const line = (name: string, time: number, more: string) =>
      print(`${name.padEnd(28)}${time.toFixed(1).padStart(9)} ns   ${more}`);
    line("bare copy of 4 KiB", median(times.copy), "");
    line("READ of 4 KiB, 53C710", read, `${rate(read)} READs/s, ${instructionsPerRead} instructions each`);
    line("READ of 4 KiB, virtio-scsi", request, `${rate(request)} READs/s, ${(read / request).toFixed(1)} × faster`);
    const more = (median(times.many) - read) / (manyTargets - 1);
    line("each additional target", more, `READs go round ${manyTargets} targets`);
    print(`minor garbage collections in 1 M READs through the chip: ${await one.countScavenges(1_000_000)}`);
  } finally {
    for (const loop of [one, many, virtio]) await loop.close();
  }
}

function measureInstructions(opened: readonly InstructionLoop[]): number[] {
  const times = opened.map((): number[] => []);
  for (const loop of opened) loop.measure(500_000);
  for (let round = 0; round < rounds; round++) {
    for (const [index, loop] of opened.entries()) times[index].push(loop.measure(2_000_000));
  }
  return times.map(median);
}

/** How many a second, for a time in nanoseconds. */
function rate(nanoseconds: number): string {
  const perSecond = 1e9 / nanoseconds;
  return perSecond >= 1e6 ? `${(perSecond / 1e6).toFixed(1)} M` : `${(perSecond / 1e3).toFixed(0)} k`;
}
