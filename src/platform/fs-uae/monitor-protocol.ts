/**
 * What the monitor in the emulated machine and its client here say to each other over the serial line. A request is an
 * operation byte and its arguments, big-endian; the answer begins with one byte: {@link Answer}. The client sends the
 * next request when it has the answer.
 */

/** Requests. In words of 32 bits unless it says otherwise. */
export const Operation = {
  /** Nothing; answers with {@link monitorGreeting}. */
  Hello: 0,
  /** address → the value, in 1, 2 or 4 bytes. */
  Read8: 1,
  Read16: 2,
  Read32: 3,
  /** address, value in 1, 2 or 4 bytes. */
  Write8: 4,
  Write16: 5,
  Write32: 6,
  /** address that the near operations count from. */
  SetBase: 7,
  /** offset in 1 byte → the value. A third of the bytes that the far operations take. */
  NearRead8: 8,
  NearRead16: 9,
  NearRead32: 10,
  /** offset in 1 byte, value. */
  NearWrite8: 11,
  NearWrite16: 12,
  NearWrite32: 13,
  /** address, length, that many bytes → sum of the bytes. */
  Upload: 14,
  /** address, length → that many bytes, their sum. */
  Download: 15,
  /** address, length, byte. */
  Fill: 16,
  /** address, length → sum. */
  Sum: 17,
  /** address, mask, unwanted value, limit in raster lines → the value that was read last, lines left (0: none other came). */
  Poll8: 18,
  Poll32: 19,
  /** address, argument in D0 → D0 after the routine. */
  Call: 20,
  /** address, count (at most {@link longestSnapshot}) → that many values of 1 or 4 bytes, read in ascending order. */
  Snapshot8: 21,
  Snapshot32: 22,
} as const;

/** First byte of an answer. */
export const Answer = {
  Done: 0x06,
  /** The processor took an exception: offset of its vector and address of the instruction, 32 bits each. */
  Exception: 0x15,
  /** There is no such operation. */
  Unknown: 0x18,
} as const;

/** What the monitor says when it starts and when it is asked; the last byte is the protocol's version. */
export const monitorGreeting = "ringside monitor 1";

/** Values in one snapshot. */
export const longestSnapshot = 1024;

/** Addresses that the monitor uses. */
export const monitorLayout = {
  /** Where the processor finds its ROM. */
  rom: 0xf8_0000,
  romSize: 0x8_0000,
  snapshot: 0x1000,
  stackTop: 0x8000,
  /** Memory from here on is free. */
  free: 0x1_0000,
} as const;

/** The sum that guards a transfer: rotate left by one, add the byte. */
export function transferSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index++) sum = (((sum << 1) | (sum >>> 31)) + bytes[index]) >>> 0;
  return sum;
}

/** Names of exceptions by the number of the vector (M68000 Family Programmer's Reference Manual, table B-1). */
const exceptionNames: Readonly<Record<number, string>> = {
  2: "bus error",
  3: "address error",
  4: "illegal instruction",
  5: "division by zero",
  8: "privilege violation",
  9: "trace",
  10: "line A instruction",
  11: "line F instruction",
  14: "format error",
};

/** What happened, for people. */
export function exceptionName(vector: number): string {
  return exceptionNames[vector] ?? `exception ${vector}`;
}
