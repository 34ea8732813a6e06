/** Random accesses to everything that a driver can reach of a virtio PCI function. */
import assert from "node:assert/strict";
import type { RegisterWindow } from "../../src/bytes/index.js";
import { readRegister, writeRegister } from "../../src/bytes/index.js";
import type { PciFunctionHandle } from "../../src/pci/index.js";
import { type LoopbackTransport, plugLoopback, type SeededRandom } from "../../src/testing/index.js";
import type { Round, Soak } from "./soak.js";

const transports: readonly LoopbackTransport[] = ["legacy-be", "legacy-le", "modern"];
const accessesPerRound = 200;

/** A value: mostly one that means something in some register. */
function plausible(random: SeededRandom): number {
  switch (random.below(7)) {
    case 0:
      return random.below(8);
    case 1:
      return [0, 1, 3, 7, 15, 0x0f, 0x4f, 0x80, 0xff][random.below(9)];
    case 2:
      return 2 ** random.below(17);
    case 3:
      return 4096 * random.below(2048);
    case 4:
      return random.below(4096);
    case 5:
      return [0xffff, 0xffff_ffff, 0x3000_0000, 0x8000_0000][random.below(4)];
    default:
      return random.below(2 ** 32);
  }
}

function width(random: SeededRandom): 1 | 2 | 4 {
  return ([1, 2, 4] as const)[random.below(3)];
}

/** One access to a window; the answer must fit into its width. */
function poke(random: SeededRandom, window: RegisterWindow, size: number, name: string): void {
  const bytes = width(random);
  const offset = random.chance(0.9) ? bytes * random.below(Math.max(1, Math.floor(size / bytes))) : random.below(size);
  if (random.chance(0.5)) writeRegister(window, offset, bytes, plausible(random) % 2 ** (8 * bytes));
  else checkValue(readRegister(window, offset, bytes), bytes, `${name} + 0x${offset.toString(16)}`);
}

function checkValue(value: number, bytes: number, where: string): void {
  assert.ok(
    Number.isInteger(value) && value >= 0 && value < 2 ** (8 * bytes),
    `${where}: read${8 * bytes} gave ${value}`,
  );
}

function pokeConfig(random: SeededRandom, fn: PciFunctionHandle): void {
  const bytes = width(random);
  const offset = bytes * random.below(256 / bytes);
  if (random.chance(0.5)) checkValue(fn.readConfig(offset, bytes), bytes, `configuration 0x${offset.toString(16)}`);
  // Command and BARs stay mostly as they are, so that the rest can be reached.
  else if (offset >= 0x40 || random.chance(0.05)) fn.writeConfig(offset, bytes, plausible(random) % 2 ** (8 * bytes));
}

async function run(round: Round): Promise<void> {
  const { random } = round;
  const transport = transports[random.below(transports.length)];
  const plugged = plugLoopback({
    transport,
    poison: false,
    ramSize: 1 << 20,
    device: { queueSize: 16, requestQueues: 2 },
  });
  const { fn, adapter } = plugged;
  fn.enable({ io: true, memory: true, busMaster: true });
  const reached = fn.bars.flatMap((bar) => {
    const window = fn.bar(bar.index);
    return window === undefined ? [] : [{ window, size: bar.size, name: `${transport} BAR ${bar.index}` }];
  });
  const device = reached[reached.length - (transport === "modern" ? 1 : 2)];
  for (let access = 0; access < accessesPerRound; access++) {
    const kind = random.below(10);
    if (kind < 2) pokeConfig(random, fn);
    else if (kind < 4) {
      const any = reached[random.below(reached.length)];
      poke(random, any.window, any.size, any.name);
      // Where most registers are.
    } else poke(random, device.window, Math.min(device.size, 0x40), device.name);
    round.count("accesses");
    if (random.chance(0.01)) await Promise.resolve();
  }
  for (const [code, times] of adapter.core.violations) round.count(code, times);
  await plugged.unplug();
}

export const registers: Soak = {
  name: "registers",
  title: "random register and configuration accesses of all widths",
  quickRounds: 100,
  start: () => run,
};
