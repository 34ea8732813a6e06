/**
 * AUTOCONFIG identities (Amiga Hardware Reference Manual, "Zorro expansion"): what a board says about itself before it
 * has an address. Bytes come as nibbles; all but the first byte are inverted.
 */
import type { RegisterWindow } from "../bytes/index.js";

/** What a board says about itself. */
export interface ZorroIdentity {
  /** er_Type: bus, whether it is memory, whether the diagnostic vector is valid, size code. */
  readonly type: number;
  readonly product: number;
  /** er_Flags. */
  readonly flags: number;
  readonly manufacturer: number;
  readonly serial: number;
  /** Offset of the board's boot code, if `type` says that there is any. */
  readonly diagnosticVector: number;
}

/** Bits of er_Type. */
export const ZorroType = {
  BusMask: 0xc0,
  Zorro2: 0xc0,
  Zorro3: 0x80,
  Memory: 0x20,
  Rom: 0x10,
  SizeMask: 0x07,
} as const;
/** Bits of er_Flags. */
export const ZorroFlags = { CannotShutUp: 0x40, ExtendedSize: 0x20, Zorro3: 0x10 } as const;
/** Bytes of an identity. */
export const identitySize = 12;
/** Registers of the configuration area that a system writes. */
export const ConfigRegister = { Base: 0x44, BaseLow: 0x48, ShutUp: 0x4c } as const;
/** Where the second nibble of a byte is: on Zorro III, and through the Zorro II window. */
export const partnerOffset = { zorro3: 0x100, zorro2: 0x02 } as const;

/** The bytes of an identity, not inverted. */
export function identityBytes(identity: ZorroIdentity): Uint8Array {
  const bytes = new Uint8Array(identitySize);
  const view = new DataView(bytes.buffer);
  bytes[0] = identity.type;
  bytes[1] = identity.product;
  bytes[2] = identity.flags;
  view.setUint16(4, identity.manufacturer);
  view.setUint32(6, identity.serial);
  view.setUint16(10, identity.diagnosticVector);
  return bytes;
}

/** Reads an identity from its bytes. */
export function parseIdentity(bytes: Uint8Array): ZorroIdentity {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    type: bytes[0],
    product: bytes[1],
    flags: bytes[2],
    manufacturer: view.getUint16(4),
    serial: view.getUint32(6),
    diagnosticVector: view.getUint16(10),
  };
}

/** A nibble as the bus has it: those of byte 0 as they are, all others inverted. */
export function busNibble(byte: number, index: number, half: "high" | "low"): number {
  const nibble = half === "high" ? byte >> 4 : byte & 0x0f;
  return index === 0 ? nibble : nibble ^ 0x0f;
}

/** Reads the identity of the board that answers at `base`: the driver half of {@link busNibble}. */
export function readIdentity(space: RegisterWindow, base: number, partner: number): ZorroIdentity {
  const bytes = new Uint8Array(identitySize);
  for (let index = 0; index < identitySize; index++) {
    const high = space.read8(base + 4 * index) >> 4;
    const low = space.read8(base + 4 * index + partner) >> 4;
    const byte = (high << 4) | low;
    bytes[index] = index === 0 ? byte : byte ^ 0xff;
  }
  return parseIdentity(bytes);
}

/** Bytes that a board needs, as type and flags say. */
export function sizeOf({ type, flags }: ZorroIdentity): number {
  const code = type & ZorroType.SizeMask;
  const isExtended = (type & ZorroType.BusMask) === ZorroType.Zorro3 && (flags & ZorroFlags.ExtendedSize) !== 0;
  if (isExtended) return 0x100_0000 * 2 ** code;
  return code === 0 ? 0x80_0000 : 0x8000 * 2 ** code;
}
