/** Byte order as data: `true` is what `DataView` calls little-endian. */
export type Endianness = "little" | "big";

/** The byte order of the processor that runs this code, which typed arrays use. */
export const hostEndianness: Endianness = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? "little" : "big";

/** The other byte order of 16 bits. */
export function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}

/** The other byte order of 32 bits. */
export function swap32(value: number): number {
  return (((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}
