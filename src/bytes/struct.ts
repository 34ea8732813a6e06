/**
 * Structure schemas: one declaration gives offsets, size, a codec and the TypeScript type. Structures are packed, as
 * the specifications print them; the byte order is said at each access. Hot paths use the offsets with a `DataView`;
 * everything else uses `read` and `write`.
 */
import type { Endianness } from "./endian.js";

/** One field: its size in bytes and how it is read and written. */
export interface Field<T> {
  readonly size: number;
  read(view: DataView, at: number, little: boolean): T;
  write(view: DataView, at: number, little: boolean, value: T): void;
}

/** An unsigned byte. */
export const u8: Field<number> = {
  size: 1,
  read: (view, at) => view.getUint8(at),
  write: (view, at, _little, value) => view.setUint8(at, value),
};
/** 16 bits, unsigned. */
export const u16: Field<number> = {
  size: 2,
  read: (view, at, little) => view.getUint16(at, little),
  write: (view, at, little, value) => view.setUint16(at, value, little),
};
/** 32 bits, unsigned. */
export const u32: Field<number> = {
  size: 4,
  read: (view, at, little) => view.getUint32(at, little),
  write: (view, at, little, value) => view.setUint32(at, value, little),
};
/** 64 bits, unsigned. */
export const u64: Field<bigint> = {
  size: 8,
  read: (view, at, little) => view.getBigUint64(at, little),
  write: (view, at, little, value) => view.setBigUint64(at, value, little),
};
/** `length` bytes as they lie. Reading copies. */
export function bytes(length: number): Field<Uint8Array> {
  return {
    size: length,
    read: (view, at) => new Uint8Array(view.buffer, view.byteOffset + at, length).slice(),
    write: (view, at, _little, value) => {
      const target = new Uint8Array(view.buffer, view.byteOffset + at, length);
      target.fill(0);
      target.set(value.subarray(0, length));
    },
  };
}
/** ASCII text of a fixed length, padded with spaces (as SCSI does) or zeros. Reading trims both. */
export function ascii(length: number, pad: " " | "\0" = " "): Field<string> {
  return {
    size: length,
    read: (view, at) => {
      let text = "";
      for (let index = 0; index < length; index++) text += String.fromCharCode(view.getUint8(at + index));
      return text.replace(/[\0 ]+$/, "");
    },
    write: (view, at, _little, value) => {
      const padded = value.padEnd(length, pad);
      for (let index = 0; index < length; index++) view.setUint8(at + index, padded.charCodeAt(index) & 0xff);
    },
  };
}

type Fields = Record<string, Field<unknown>>;
type Values<F extends Fields> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A packed structure. */
export interface Struct<F extends Fields> {
  /** Bytes in all. */
  readonly size: number;
  /** Byte offset of each field. */
  readonly offset: { readonly [K in keyof F]: number };
  read(view: DataView, at: number, endianness: Endianness): Values<F>;
  /** Writes the fields that are given, leaves the others. */
  write(view: DataView, at: number, endianness: Endianness, values: Partial<Values<F>>): void;
}

/** The value type of a structure: `type Header = StructValue<typeof Header>`. */
export type StructValue<S> = S extends Struct<infer F> ? Values<F> : never;

/** Declares a packed structure. Fields follow each other in the order given. */
export function struct<F extends Fields>(fields: F): Struct<F> {
  const offset: Record<string, number> = {};
  let size = 0;
  for (const [name, field] of Object.entries(fields)) {
    offset[name] = size;
    size += field.size;
  }
  return {
    size,
    offset: offset as Struct<F>["offset"],
    read(view, at, endianness) {
      const values: Record<string, unknown> = {};
      for (const [name, field] of Object.entries(fields)) {
        values[name] = field.read(view, at + (offset[name] as number), endianness === "little");
      }
      return values as Values<F>;
    },
    write(view, at, endianness, values) {
      for (const [name, value] of Object.entries(values)) {
        (fields[name] as Field<unknown>).write(view, at + (offset[name] as number), endianness === "little", value);
      }
    },
  };
}
