/** Values of options, as text from the command line. Each throws commander's error, which names the option. */
import { InvalidArgumentError } from "commander";
import { type TraceCategory, traceCategories } from "../observe/index.js";

const units: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };
/** QEMU describes memory modules from 32 MiB on. */
const smallestRam = 32 * 2 ** 20;
const largestRam = 2 * 2 ** 30;

/** `64M`, `1G`, `268435456`: bytes, whole MiB within 32 MiB…2 GiB. */
export function parseRamSize(text: string): number {
  const match = /^(\d{1,12})([kmg]?)(i?b)?$/i.exec(text);
  const size = match === null ? Number.NaN : Number(match[1]) * units[match[2].toLowerCase()];
  if (size >= smallestRam && size <= largestRam && size % 2 ** 20 === 0) return size;
  throw new InvalidArgumentError("Give whole MiB from 32M to 2G, such as 256M.");
}

/** A seed of 32 bits. */
export function parseSeed(text: string): number {
  const seed = /^(\d{1,10}|0x[0-9a-f]{1,8})$/i.test(text) ? Number(text) : Number.NaN;
  if (seed <= 0xffff_ffff) return seed;
  throw new InvalidArgumentError("Give a number within 0…4294967295.");
}

/** The id of an Amiga's Agnus or Alice, in hexadecimal: `0x30`, `30`. */
export function parseChipId(text: string): number {
  const id = /^(0x)?[0-9a-f]{1,2}$/i.test(text) ? Number.parseInt(text.replace(/^0x/i, ""), 16) : Number.NaN;
  if (id <= 0x7f) return id;
  throw new InvalidArgumentError("Give a hexadecimal number up to 0x7f, such as 0x30 for NTSC with ECS.");
}

const selectable = traceCategories.filter((name) => name === "registers" || name === "ring" || name === "scsi");

/** What `--trace` alone shows. */
export const everyTrace = selectable.join(",");

/** `registers,ring,scsi`, or any of them. Violations and faults come with each. */
export function parseTrace(text: string): TraceCategory[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.some((name) => !isTraceName(name))) {
    throw new InvalidArgumentError(`Give one or more of ${selectable.join(", ")}, separated by commas.`);
  }
  return [...new Set<TraceCategory>([...(names as TraceCategory[]), "violation", "fault"])];
}

function isTraceName(name: string): boolean {
  return (selectable as readonly string[]).includes(name);
}

/** Keeps a bare `--trace` from taking the image that follows it for its categories. That of `scripts` has none. */
export function separateTrace(words: readonly string[]): string[] {
  if (words[0] === "scripts") return [...words];
  return words.map((word, index) => {
    const isBare = word === "--trace" && !isTraceName((words[index + 1] ?? "").split(",")[0]);
    return isBare ? `--trace=${everyTrace}` : word;
  });
}

/** A number of bytes up to 64 MiB. */
export function parseByteCount(text: string): number {
  const match = /^(\d{1,9})([km]?)$/i.exec(text);
  const count = match === null ? Number.NaN : Number(match[1]) * units[match[2].toLowerCase()];
  if (count <= 64 * 2 ** 20) return count;
  throw new InvalidArgumentError("Give a number of bytes up to 64M.");
}

/** A whole number within limits, as an option's parser. */
export function parseWithin(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a number within ${least}…${most}.`);
  };
}

/** `4k`, `512`, `1M`, `2G`: bytes, as an option's parser. */
export function parseBytesWithin(least: number, most: number): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,15})([kmg]?)(i?b)?$/i.exec(text);
    const value = match === null ? Number.NaN : Number(match[1]) * units[match[2].toLowerCase()];
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give a number of bytes within ${least}…${most}, such as 4k or 1M.`);
  };
}

/** Seconds, also parts of one, as an option's parser. */
export function parseSeconds(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Give seconds within ${least}…${most}.`);
  };
}
