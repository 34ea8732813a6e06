/**
 * One table describes a register file; the driver half and the device half take offsets from it, and the trace takes
 * names from it.
 */
import type { AccessWidth } from "./register-window.js";

/** One register of a file. */
export interface Register {
  /** Byte offset in the window. */
  readonly offset: number;
  /** Size in bytes. */
  readonly width: AccessWidth;
  /** What the driver may do. */
  readonly access: "read" | "write" | "read-write";
}

/** A register file: registers by name. */
export type RegisterTable = Readonly<Record<string, Register>>;

/** The name of the register at `offset` (with `+n` inside a register), or the offset itself. */
export function registerName(table: RegisterTable, offset: number): string {
  for (const [name, register] of Object.entries(table)) {
    const inside = offset - register.offset;
    if (inside === 0) return name;
    if (inside > 0 && inside < register.width) return `${name}+${inside}`;
  }
  return `+0x${offset.toString(16)}`;
}
