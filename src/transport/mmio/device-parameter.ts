/**
 * The kernel parameter that names virtio-mmio windows: `virtio_mmio.device=<size>@<base>:<irq>[:<id>]`, once for each
 * device (0.9.5 appendix X).
 */
import type { MmioWindow } from "./registers.js";

const prefix = "virtio_mmio.device=";
const shape = "<size>@<base>:<irq>[:<id>]";
const suffixes: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const number = "0[xX][0-9a-fA-F]+|[0-9]+";
const parameter = new RegExp(
  `^(?<size>${number})(?<suffix>[kKmMgG]?)@(?<base>${number}):(?<irq>\\d+)(?::(?<id>\\d+))?$`,
);

/**
 * Reads windows from parameters, each with or without `virtio_mmio.device=`; a text may hold several, separated by
 * spaces. Size and base are decimal, hexadecimal (`0x`) or octal (`0`), the size with K, M or G; irq and id are decimal.
 * A window without an id counts on from the last one.
 * @throws RangeError that says what is wrong with which parameter.
 */
export function parseMmioWindows(...texts: readonly string[]): MmioWindow[] {
  const windows: MmioWindow[] = [];
  let nextId = 0;
  for (const word of texts.flatMap((text) => text.split(/\s+/)).filter((text) => text !== "")) {
    const window = parseWindow(word, nextId);
    if (windows.some(({ id }) => id === window.id)) throw refused(word, `id ${window.id} is taken`);
    nextId = window.id + 1;
    windows.push(window);
  }
  return windows;
}

/** A window as the parameter writes it. */
export function formatMmioWindow({ size, base, irq, id }: MmioWindow): string {
  return `${prefix}0x${size.toString(16)}@0x${base.toString(16)}:${irq}${id === undefined ? "" : `:${id}`}`;
}

function parseWindow(word: string, nextId: number): Required<MmioWindow> {
  const text = word.startsWith(prefix) ? word.slice(prefix.length) : word;
  const fields = parameter.exec(text)?.groups;
  if (fields === undefined) throw refused(word, whatIsWrong(text));
  const size = integer(fields["size"], word) * suffixes[fields["suffix"].toUpperCase()];
  const base = integer(fields["base"], word);
  const irq = integer(fields["irq"], word, 10);
  const id = fields["id"] === undefined ? nextId : integer(fields["id"], word, 10);
  if (size === 0) throw refused(word, "the size is 0");
  if (irq === 0) throw refused(word, "irq 0 is none");
  if (!Number.isSafeInteger(base + size)) throw refused(word, "the window ends past 2^53");
  return { base, size, irq, id };
}

/** `0x…` is hexadecimal, `0…` octal, unless the field is always decimal. */
function integer(digits: string, word: string, always?: 10): number {
  const isOctal = always === undefined && /^0[0-9]+$/.test(digits);
  if (isOctal && /[89]/.test(digits)) throw refused(word, `"${digits}" is no octal number`);
  const value = isOctal ? Number.parseInt(digits, 8) : Number(digits);
  if (!Number.isSafeInteger(value)) throw refused(word, `${digits} is too large`);
  return value;
}

function whatIsWrong(text: string): string {
  const [size, ...rest] = text.split("@");
  if (rest.length === 0) return "there is no @";
  if (!new RegExp(`^(${number})[kKmMgG]?$`).test(size)) return `"${size}" is no size`;
  const [base, irq, id, ...more] = rest.join("@").split(":");
  if (!new RegExp(`^(${number})$`).test(base)) return base === "" ? "there is no base" : `"${base}" is no base`;
  if (irq === undefined || irq === "") return "there is no irq";
  if (!/^\d+$/.test(irq)) return `"${irq}" is no irq`;
  if (more.length > 0) return `there is text after the id: "${more.join(":")}"`;
  return `"${id}" is no id`;
}

function refused(word: string, why: string): RangeError {
  return new RangeError(`virtio-mmio window "${word}": ${why} (expected ${shape}, as in 1K@0x100b0000:48:7)`);
}
