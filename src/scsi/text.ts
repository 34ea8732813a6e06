import { ascii, type Field } from "../bytes/index.js";

/** ASCII graphics codes 20h…7Eh only, as SCSI wants text; a peer's control characters never reach a terminal. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}

/** Text of a fixed length, padded with spaces, printable both ways. */
export function scsiText(length: number): Field<string> {
  const field = ascii(length);
  return {
    size: length,
    read: (view, at, little) => printable(field.read(view, at, little)),
    write: (view, at, little, value) => field.write(view, at, little, printable(value)),
  };
}

/** The text in bytes, printable and without padding. */
export function textOf(bytes: Uint8Array): string {
  return printable(String.fromCharCode(...bytes.subarray(0, 256)).replace(/[\0 ]+$/, ""));
}

/** `length` bytes that start with `bytes`: parsers of short data read zeros behind it. */
export function zeroExtended(bytes: Uint8Array, length: number): DataView {
  const extended = new Uint8Array(length);
  extended.set(bytes.subarray(0, length));
  return new DataView(extended.buffer);
}
