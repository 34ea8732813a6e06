/** What scenarios of defects are made of. */
import assert from "node:assert/strict";
import { Disk } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { Command } from "./command-numbers.js";
import { type CommandRig, type CommandRigOptions, patternBytes, unitAt, withRig } from "./command-rig.test.js";

/** One rule. */
export interface CommandScenario {
  readonly id: string;
  readonly rule: string;
  /** What the rig is made of, made anew each time. */
  readonly options?: () => CommandRigOptions;
  /** Rejects when the rule does not hold. */
  readonly work: (rig: CommandRig) => Promise<void>;
}

/** A sparse disk. */
export const large = (bytes: number) => unitAt(0, 0, new Disk(new MemoryStore(bytes), { powerOnAttention: false }));
/** A store that may not be written. */
export const readOnly = () => MemoryStore.of(new Uint8Array(1 << 20), { isReadOnly: true });
/** Whether two arrays hold the same. */
export const sameBytes = (one: Uint8Array, other: Uint8Array) => Buffer.compare(one, other) === 0;
/** Programs' memory in scattered pages. */
export const scattered = (): CommandRigOptions => ({ pages: "scattered" });

/** Reads from the second block on, and compares. */
export async function readsRight({ program }: CommandRig, length: number): Promise<void> {
  const one = await program();
  const read = await one.read(Command.CMD_READ, 512, length);
  assert.deepEqual([read.error, read.actual], [0, length]);
  assert.ok(sameBytes(read.bytes, patternBytes(1 << 20).subarray(512, 512 + length)), "other bytes were read");
}

/** Runs one scenario with defects put back. */
export function runScenario(scenario: CommandScenario, change: CommandRigOptions["change"] = {}): Promise<void> {
  return withRig({ ...scenario.options?.(), change }, scenario.work);
}
