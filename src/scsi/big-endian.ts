/**
 * Big-endian numbers in bytes, by plain arithmetic: what SCSI is made of. Nothing here allocates. Reading past the end
 * of an array gives zero bits; parsers check lengths first where that matters.
 */

/** The 16-bit number at `at`. */
export function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 8) | bytes[at + 1]) >>> 0;
}

/** The 24-bit number at `at`. */
export function readU24(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2]) >>> 0;
}

/** The 32-bit number at `at`. */
export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0;
}

/** The 64-bit number at `at`. From 2^53 on the result is rounded, but never to less than 2^53. */
export function readU64(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4);
}

/** A number of `size` (1…8) bytes at `at`. */
export function readNumber(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let index = 0; index < size; index++) value = value * 256 + (bytes[at + index] ?? 0);
  return value;
}

/** Writes the low 16 bits of `value`. */
export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Writes the low 32 bits of `value`. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Writes a safe integer as 64 bits. */
export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, Math.floor(value / 0x1_0000_0000));
  writeU32(bytes, at + 4, value % 0x1_0000_0000);
}
