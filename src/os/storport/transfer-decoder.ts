/** Where LBA and length of a read or a write stand: one decoder for 6, 10, 12 and 16 bytes. Allocates nothing. */
import type { Behaviour } from "./behaviour.js";

/** A decoded transfer; reused. */
export interface TransferFields {
  write: boolean;
  /** First block. */
  lba: number;
  blocks: number;
  fua: boolean;
  /** WRITE AND VERIFY. */
  verify: boolean;
  /** BYTCHK of WRITE AND VERIFY. */
  compares: boolean;
}

/** Fields to decode into. */
export function newTransferFields(): TransferFields {
  return { write: false, lba: 0, blocks: 0, fua: false, verify: false, compares: false };
}

const word = 0x1_0000_0000;

function u32(cdb: Uint8Array, at: number): number {
  return ((cdb[at] << 24) | (cdb[at + 1] << 16) | (cdb[at + 2] << 8) | cdb[at + 3]) >>> 0;
}

/** Group code (bits 7…5 of an opcode) of 6, 10, 12 and 16 bytes, and the opcode's lower half that they share. */
const lengthOfGroup = [6, 10, 10, 0, 16, 12, 0, 0] as const;

/** True when the CDB reads or writes blocks; `into` says which. */
export function decodeTransfer(cdb: Uint8Array, behaviour: Behaviour, into: TransferFields): boolean {
  const opcode = cdb[0];
  const low = opcode & 0x1f;
  const group = opcode >>> 5;
  const length = lengthOfGroup[group];
  const verify = low === 0x0e && length > 6;
  if (length === 0 || group === 2 || !(low === 0x08 || low === 0x0a || verify)) return false;
  into.write = low !== 0x08;
  into.verify = verify;
  into.compares = verify && (cdb[1] & 0x06) !== 0;
  into.fua = length > 6 && !verify && (cdb[1] & 0x08) !== 0;
  if (length === 6) {
    const standard = ((cdb[1] & 0x1f) << 16) | (cdb[2] << 8) | cdb[3];
    const swapped = (cdb[3] << 16) | (cdb[2] << 8) | (cdb[1] & 0x1f);
    into.lba = behaviour.shortCdb === "standard" ? standard : swapped;
    into.blocks = cdb[4] === 0 && behaviour.shortCdb === "standard" ? 256 : cdb[4];
  } else if (length === 16) {
    into.lba = u32(cdb, 2) * word + u32(cdb, 6);
    into.blocks = u32(cdb, 10);
  } else {
    into.lba = u32(cdb, 2);
    into.blocks = length === 12 ? u32(cdb, 6) : (cdb[7] << 8) | cdb[8];
  }
  return true;
}
