/** `ringside scripts run`: a script on a 53C710 of its own, with disks if wanted. */
import { setTimeout as sleep } from "node:timers/promises";
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import { GuestMemory } from "../memory/index.js";
import {
  type AssembledProgram,
  attachScsiBus,
  Dstat,
  HostBus,
  Ncr53c710,
  placeProgram,
  Reg,
  readWords,
  ScriptsDebugger,
  ScsiWire,
  WordsError,
  wordsToBytes,
} from "../ncr53c710/index.js";
import { CdDrive, Disk, ScsiBus } from "../scsi/index.js";
import { OverlayStore, type Store } from "../storage/index.js";
import { UsageError, WorkFailed } from "./errors.js";
import { parseImageArgument } from "./image-argument.js";
import type { Interruption } from "./interruption.js";
import { openPlacedImage } from "./open-placed-image.js";
import { writeOutput } from "./output.js";
import { Pace } from "./pace.js";
import { assembleSource, readScriptsFile, type SourceOptions } from "./scripts-files.js";

/** The options as the command line gives them. */
export interface RunScriptsOptions extends SourceOptions {
  readonly image: readonly string[];
  readonly write: boolean;
  readonly format?: "raw";
  readonly memory: string;
  readonly at: string;
  readonly entry: string;
  readonly dsa: string;
  readonly set: readonly string[];
  readonly external: readonly string[];
  readonly show: readonly string[];
  readonly break: readonly string[];
  readonly step?: string | true;
  readonly trace: boolean;
  readonly limit: string;
  readonly timeout: string;
  readonly json: boolean;
}

const hostId = 7;
const largestMemory = 1 << 30;
const turn = 4096;

/** What can be run: words in place, and places by name. */
interface Loaded {
  readonly words: Uint32Array;
  readonly program: AssembledProgram | undefined;
}

/** @throws WorkFailed when it ends in another way than by INT, UsageError, Interrupted */
export async function runScripts(path: string, options: RunScriptsOptions, interruption: Interruption): Promise<void> {
  const size = number("--memory", options.memory, 16, largestMemory);
  const at = number("--at", options.at, 0, size - 1);
  if (at % 4 !== 0) throw new UsageError(`--at takes a multiple of 4, got ${options.at}`);
  const loaded = load(path, await readScriptsFile(path, interruption), at, options);
  const memory = GuestMemory.ofSize(size);
  put(memory, at, wordsToBytes(loaded.words), "the program");
  for (const text of options.set) setMemory(memory, text);
  const bus = new ScsiBus();
  try {
    for (const [index, text] of options.image.entries()) attachImage(bus, text, index, options);
    const wire = new ScsiWire();
    attachScsiBus(wire, bus, hostId);
    const chip = new Ncr53c710(new HostBus(memory), wire, { turns: "manual", selectionTimeout: 0 });
    try {
      await carryOut(chip, memory, at, loaded, options, new Pace(interruption));
    } finally {
      chip.close();
    }
  } finally {
    await bus.close();
  }
}

function load(path: string, bytes: Uint8Array, at: number, options: RunScriptsOptions): Loaded {
  // What reads as nothing but words is taken as words.
  try {
    return { words: readWords(bytes), program: undefined };
  } catch (error) {
    if (!(error instanceof WordsError)) throw error;
  }
  const program = assembleSource(path, bytes, options);
  const known = program.symbols.filter(({ kind }) => kind === "external").map(({ name }) => name);
  const externals: Record<string, number> = {};
  for (const text of options.external) {
    const [name, value] = splitAt(text, "=", "--external takes NAME=VALUE, such as buffer=0x4000");
    if (!known.includes(name)) throw new UsageError(`--external ${text}: ${noExternal(name, known)}`);
    externals[name] = number("--external", value, 0, 0xffff_ffff);
  }
  return { words: placeProgram(program, at, externals), program };
}

function noExternal(name: string, known: readonly string[]): string {
  return `the program has no external ${name}${known.length > 0 ? `: it has ${known.join(", ")}` : ""}`;
}

async function carryOut(
  chip: Ncr53c710,
  memory: GuestMemory,
  at: number,
  loaded: Loaded,
  options: RunScriptsOptions,
  pace: Pace,
): Promise<void> {
  const lines: string[] = [];
  const steps = options.step === undefined ? 0 : options.step === true ? 1 : number("--step", options.step, 1, 1e6);
  const names = new Map(loaded.program?.labels.map(({ name, offset }) => [at + offset, name]) ?? []);
  const scripts = new ScriptsDebugger(chip, {
    nameOf: (address) => names.get(address),
    trace: ({ address, words, text }) => {
      if (!options.trace && steps === 0) return;
      const label = names.has(address) ? `${names.get(address)}: ` : "";
      const line = `${hex(address)}  ${words
        .map((word) => hex(word))
        .join(" ")
        .padEnd(26)}  ${label}${text}`;
      if (options.trace) process.stderr.write(`${line}\n`);
      else lines.push(line);
    },
  });
  for (const place of options.break) scripts.breakpoints.add(at + placeOf(place, loaded, "--break"));
  chip.writeRegister(Reg.SCID, 1 << hostId);
  chip.writeRegister(Reg.SCNTL0, 0xcc);
  chip.writeRegister(Reg.SCNTL1, 0x20);
  chip.window.write32(Reg.DSA, number("--dsa", options.dsa, 0, 0xffff_ffff));
  chip.window.write32(Reg.DSP, at + placeOf(options.entry, loaded, "--entry"));
  const limit = number("--limit", options.limit, 1, 1e12);
  const timeout = number("--timeout", options.timeout, 0, 1e6) * 1000;
  if (steps === 0) await run(chip, limit, timeout, pace);
  else await stepBy(chip, scripts, steps, timeout, lines, pace);
  const reached = chip.engine.executed >= limit && chip.engine.state === "running";
  const end = reached ? `gave up after ${limit} instructions, ${scripts.state}` : scripts.state;
  const registers = scripts.registers();
  const isGood = scripts.isHeld || (chip.causes.dma & Dstat.Sir) !== 0;
  const shown = options.show.map((text) => showMemory(memory, text));
  if (options.json) {
    const report = { end, instructions: chip.engine.executed, registers, memory: shown };
    await writeOutput(`${JSON.stringify(report, undefined, 2)}\n`);
  } else {
    lines.push(`${end}; ${chip.engine.executed} instructions`, registerLine(registers));
    if (scripts.isHeld) lines.push(...scripts.disassemble(registers["DSP"], 1).map(({ text }) => `next: ${text}`));
    for (const { address, bytes } of shown) lines.push(`${hex(address)}  ${bytes}`);
    await writeOutput(`${lines.join("\n")}\n`);
  }
  if (!isGood) throw new WorkFailed(`the script ended without INT: ${end}`);
}

/** Runs until it stops, is held, or there is no point in going on. */
async function run(chip: Ncr53c710, limit: number, timeout: number, pace: Pace): Promise<void> {
  const { engine } = chip;
  let since = performance.now();
  while (engine.state !== "stopped" && engine.executed < limit) {
    await pace.step(0);
    if (engine.state === "running") {
      chip.run(Math.min(turn, limit - engine.executed));
      since = performance.now();
    }
    if (engine.state !== "waiting") continue;
    if (performance.now() - since > timeout) return;
    await sleep(1);
  }
}

async function stepBy(
  chip: Ncr53c710,
  scripts: ScriptsDebugger,
  count: number,
  timeout: number,
  lines: string[],
  pace: Pace,
): Promise<void> {
  scripts.pause();
  chip.run(1);
  for (let done = 0; done < count && scripts.isHeld; done++) {
    const before = scripts.registers();
    scripts.step();
    await run(chip, Number.POSITIVE_INFINITY, timeout, pace);
    const after = scripts.registers();
    const changed = Object.entries(after).filter(([name, value]) => value !== before[name]);
    lines.push(`    ${changed.map(([name, value]) => `${name}=${hex(value)}`).join(" ")}`);
  }
}

function attachImage(bus: ScsiBus, text: string, index: number, { write, format }: RunScriptsOptions): void {
  const image = parseImageArgument(text);
  const target = image.target ?? index;
  const lun = image.lun ?? 0;
  if (target >= 8 || target === hostId || lun >= 8) {
    throw new UsageError(`"${text}": a target is within 0…6 and a LUN within 0…7 here (7 is the host's id)`);
  }
  const { path, readOnly, cd } = image;
  const placed = { path, target, lun, blockSize: image.blockSize ?? 512, readOnly, ...(cd === true ? { cd } : {}) };
  const file = openPlacedImage(placed, { write, insistRaw: format === "raw" });
  const store: Store = write ? file : new OverlayStore(file);
  try {
    const { blockSize } = placed;
    const disk = () => new Disk(store, { blockSize, readOnly, powerOnAttention: false });
    bus.attach(target, lun, cd === true ? new CdDrive(store) : disk());
  } catch (error) {
    void store.close();
    throw error instanceof RangeError ? new UsageError(`"${text}": ${error.message}`, { cause: error }) : error;
  }
}

function placeOf(text: string, { program }: Loaded, option: string): number {
  const label = program?.labels.find(({ name }) => name === text);
  if (label !== undefined) return label.offset;
  if (/^\d/.test(text)) return number(option, text, 0, 0xffff_ffff);
  throw new UsageError(`${option} takes a label of the program or an offset, "${text}" is neither`);
}

function number(option: string, text: string, least: number, most: number): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${option} takes a number within ${least}…${most}, got "${text}"`);
}

/** The two parts of an option's value. @throws UsageError when one is missing */
function splitAt(text: string, separator: string, shape: string): [string, string] {
  const at = text.indexOf(separator);
  if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
  throw new UsageError(`${shape}, got "${text}"`);
}

function put(memory: GuestMemory, address: number, bytes: Uint8Array, what: string): void {
  if (memory.findRange(address, bytes.length) === undefined) {
    throw new UsageError(`${what} does not fit into memory at ${hex(address)}: say --memory`);
  }
  memory.write(address, bytes);
}

function setMemory(memory: GuestMemory, text: string): void {
  const [place, data] = splitAt(text, "=", "--set takes ADDRESS=HEX, such as 0x2000=00010000");
  const address = number("--set", place, 0, 0xffff_ffff);
  let bytes: Uint8Array;
  try {
    bytes = parseHexBytes(data);
  } catch (cause) {
    throw new UsageError(`--set takes ADDRESS=HEX, such as 0x2000=00010000, got "${text}"`, { cause });
  }
  put(memory, address, bytes, `--set ${text}`);
}

function showMemory(memory: GuestMemory, text: string): { address: number; bytes: string } {
  const [place, length] = splitAt(text, ",", "--show takes ADDRESS,BYTES, such as 0x4000,36");
  const address = number("--show", place, 0, 0xffff_ffff);
  const count = number("--show", length, 1, 1 << 20);
  if (memory.findRange(address, count) !== undefined) return { address, bytes: hexBytes(memory.read(address, count)) };
  throw new UsageError(`--show ${text} lies outside of memory`);
}

function registerLine(registers: Readonly<Record<string, number>>): string {
  const names = ["DSP", "DSPS", "DBC", "DNAD", "DSA", "TEMP", "SCRATCH", "SFBR", "DSTAT", "SSTAT0"];
  return names.map((name) => `${name}=${hex(registers[name])}`).join(" ");
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
