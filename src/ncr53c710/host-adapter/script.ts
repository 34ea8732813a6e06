/** The driver's script in memory that the chip reads. */
import { InternalError } from "../../errors/index.js";
import type { DmaBlock, DmaMemory } from "../../memory/index.js";
import { assemble } from "../scripts/assembler.js";
import { formatDiagnostic } from "../scripts/diagnostics.js";
import { placeProgram, wordsToBytes } from "../scripts/program.js";
import { scriptSource } from "./script-source.js";

const labels = [
  "start",
  "greet",
  "switch",
  "moved",
  "received",
  "status",
  "ending",
  "wait",
  "accept",
  "refuse",
  "repeat",
  "complain",
  "rest",
  "drain_in",
  "drain_out",
  "kill",
  "dismiss",
  "taken",
  "back_identify",
  "back_tag",
  "back_number",
] as const;

/** Addresses of the labels that the driver starts the chip at or looks at, as the chip sees them. */
export type ScriptEntries = Readonly<Record<(typeof labels)[number], number>>;

/** The script, assembled and placed. */
export class AdapterScript {
  readonly block: DmaBlock;
  readonly entries: ScriptEntries;
  /** First address, and the one after the last instruction. */
  readonly start: number;
  readonly end: number;

  /** @throws RangeError when memory runs out. */
  constructor(dma: DmaMemory) {
    const { program, diagnostics } = assemble(scriptSource);
    if (program === undefined) {
      throw new InternalError(diagnostics.map((each) => formatDiagnostic(each, "script")).join("; "));
    }
    const block = dma.allocate(program.words.length * 4, 16);
    const bytes = wordsToBytes(placeProgram(program, block.address));
    block.region.bytes.set(bytes, block.offset);
    dma.toDevice?.(block.address, bytes.length);
    this.block = block;
    this.entries = Object.fromEntries(
      labels.map((name) => [name, block.address + (program.entries.get(name) ?? 0)]),
    ) as unknown as ScriptEntries;
    this.start = block.address;
    this.end = this.entries.back_identify;
  }

  /** Bytes behind the instructions, where targets say who they are. */
  get saidSize(): number {
    return this.start + this.block.size - this.end;
  }

  /** Bytes that a target said when it came back: what is in the longword at `label`. */
  said(label: "back_identify" | "back_tag" | "back_number"): number {
    const { region } = this.block;
    return region.bytes[this.entries[label] - region.base];
  }
}
