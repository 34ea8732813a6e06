/** Random work for two 53C710s: register writes, and scripts without the SCSI bus that always end. */
import type { RegisterName, SequenceStep } from "../../src/platform/fs-uae/index.js";
import type { seededRandom } from "../../src/testing/index.js";

type Random = ReturnType<typeof seededRandom>;

/** Registers that keep what is written, or that say how they do not. */
const writable = [
  ...["SCNTL0", "SCNTL1", "SIEN", "SCID", "SXFER", "SODL", "SOCL", "SDID", "DSA", "CTEST0", "CTEST4", "CTEST5"],
  ...["CTEST6", "CTEST7", "CTEST8", "TEMP", "LCRC", "DCMD", "DBC", "DNAD", "DSPS", "SCRATCH", "DMODE", "DIEN", "DWT"],
  "DCNTL",
] as const satisfies readonly RegisterName[];

const long = new Set<RegisterName>(["DSA", "TEMP", "DNAD", "DSPS", "SCRATCH"]);

/** Some writes, then everything that was written. */
export function randomRegisterSteps(random: Random): SequenceStep[] {
  const count = 1 + random.below(12);
  const steps = Array.from({ length: count }, (): SequenceStep => {
    const register = writable[random.below(writable.length)];
    let value = long.has(register) ? random.below(0x1_0000) * 0x1_0000 + random.below(0x1_0000) : random.below(256);
    // Not SCSI RST: it makes an interrupt, which has tests of its own. Nor a start of what DSP points at.
    if (register === "SCNTL1") value &= 0xf7;
    if (register === "DCNTL") value &= 0xfb;
    return { do: "write", register, value };
  });
  return [...steps, { do: "read", registers: [...writable] }];
}

const Operation = { toRegister: 5, toSfbr: 6, modify: 7 } as const;
/** SCRATCH0 to 3 and DWT. */
const registers = [0x34, 0x35, 0x36, 0x37, 0x3a] as const;

/**
 * Register moves with every operator, memory moves within `data` (256 bytes), carry, and forward jumps and calls on
 * carry and data. Ends with INT, wherever it goes, after putting SFBR where it can be seen.
 */
export function randomScript(random: Random, address: number, data: number): Uint32Array {
  const length = 4 + random.below(28);
  // SFBR from SCRATCH0 and no carry: a reset of fs-uae's leaves both.
  const instructions: number[][] = [
    [0x7234_0000, 0],
    [0x6000_0400, 0],
  ];
  for (let index = 0; index < length; index++) instructions.push(randomInstruction(random, data));
  instructions.push([0x6a37_0000, 0]);
  instructions.push([0x9808_0000, random.below(0x1_0000)]);
  const starts: number[] = [];
  let at = address;
  for (const words of instructions) {
    starts.push(at);
    at += 4 * words.length;
  }
  const end = starts.at(-2) as number;
  return Uint32Array.from(
    instructions.flatMap((words, index) => {
      if (words[1] !== forward) return words;
      // Somewhere ahead of it, at most at the end.
      const ahead = starts.slice(index + 1).filter((start) => start <= end);
      const target = ahead[random.below(ahead.length)];
      const isRelative = (words[0] & 0x0080_0000) !== 0;
      return [words[0], isRelative ? (target - (starts[index] + 8)) & 0xff_ffff : target];
    }),
  );
}

/** Stands for an address ahead. */
const forward = -1;

function randomInstruction(random: Random, data: number): number[] {
  const kind = random.below(10);
  if (kind < 5) {
    const operation = [Operation.toRegister, Operation.toSfbr, Operation.modify][random.below(3)];
    const register = registers[random.below(registers.length)];
    const first = 0x4000_0000 + operation * 0x800_0000 + random.below(8) * 0x100_0000;
    return [first + register * 0x1_0000 + random.below(256) * 0x100, 0];
  }
  if (kind < 7) {
    const count = 1 + random.below(64);
    const lane = random.below(4);
    const place = () => data + 4 * random.below(47) + lane;
    return [0xc000_0000 + count, place(), place()];
  }
  // SET or CLEAR CARRY.
  if (kind === 7) return [random.below(2) === 0 ? 0x5800_0400 : 0x6000_0400, 0];
  // JUMP or CALL: on carry, on data, on both, never or always; relative or not.
  const action = random.below(2) * 0x800_0000;
  const test = [0, 0x20_0000, 0x4_0000, 0x24_0000][random.below(4)];
  const relative = random.below(2) * 0x80_0000;
  const polarity = random.below(2) * 0x8_0000;
  return [0x8000_0000 + action + relative + polarity + test + random.below(0x1_0000), forward];
}
