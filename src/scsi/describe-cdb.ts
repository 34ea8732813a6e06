/** A CDB in words, for traces and messages: `READ(10) lba=2048 blocks=8 FUA`. */
import { hexBytes } from "../bytes/index.js";
import { readNumber } from "./big-endian.js";
import { type BitPlace, cdbLengthOf, findCommand } from "./command-table.js";

/**
 * One line for a CDB of any length: the name, then the fields that are not zero (block address, number of blocks and
 * length always). Unknown commands are shown as bytes.
 */
export function describeCdb(cdb: Uint8Array): string {
  if (cdb.length === 0) return "empty CDB";
  const definition = findCommand(cdb);
  if (definition === undefined) {
    return `command ${hexBytes(cdb.subarray(0, Math.min(cdbLengthOf(cdb[0]) ?? 16, cdb.length)))}`;
  }
  const words: string[] = [definition.name];
  const { opcode, lba, blocks, length } = definition;
  const isSixByte = opcode === 0x08 || opcode === 0x0a;
  if (lba !== undefined) {
    // READ(6) and WRITE(6) have 21 bits of address; large addresses are printed exactly.
    const exact = lba[1] === 8 ? exact64(cdb, lba[0]) : readNumber(cdb, ...lba);
    words.push(`lba=${isSixByte ? Number(exact) & 0x1f_ffff : exact}`);
  }
  if (blocks !== undefined) words.push(`blocks=${readNumber(cdb, ...blocks) || (isSixByte ? 256 : 0)}`);
  if (length !== undefined) words.push(`length=${readNumber(cdb, ...length)}`);
  for (const [name, place] of Object.entries({ ...definition.bits, ...definition.zero })) {
    const text = describeBits(name, place, cdb);
    if (text !== undefined) words.push(text);
  }
  return words.join(" ");
}

function describeBits(name: string, [byte, mask]: BitPlace, cdb: Uint8Array): string | undefined {
  const lowest = mask & -mask;
  const value = ((cdb[byte] ?? 0) & mask) / lowest;
  if (value === 0) return undefined;
  return mask === lowest ? name.toUpperCase() : `${name}=0x${value.toString(16).padStart(2, "0")}`;
}

function exact64(cdb: Uint8Array, at: number): bigint {
  return (BigInt(readNumber(cdb, at, 4)) << 32n) | BigInt(readNumber(cdb, at + 4, 4));
}
