/**
 * The registers on a big-endian bus. A longword is four byte registers, the highest number in bits 31:24. Chip and board
 * know 8- and 32-bit accesses; one of 16 bits is done as two bytes and told to the observer.
 */
import type { RegisterWindow } from "../../bytes/index.js";
import type { Observer } from "../../observe/index.js";
import { Reg } from "../registers.js";
import type { RegisterAccess } from "./register-access.js";

/** The window; offsets are taken modulo 64. */
export function hostWindow(registers: RegisterAccess, observer: Observer | undefined): RegisterWindow {
  const readByte = (offset: number) => registers.read((offset ^ 3) & 0x3f) & 0xff;
  const writeByte = (offset: number, value: number) => registers.write((offset ^ 3) & 0x3f, value & 0xff);
  const last = (Reg.DSP + 3) ^ 3;
  const tell = (name: string, offset: number) =>
    observer?.emit({ category: "registers", source: "53c710", name, fields: { offset: offset & 0x3f, width: 2 } });
  const write = (offset: number, value: number, bytes: number) => {
    let started = false;
    // Least significant byte first, so that DSP starts with its most significant one.
    for (let byte = bytes - 1; byte >= 0; byte--) {
      writeByte(offset + byte, value >>> (8 * (bytes - 1 - byte)));
      started ||= ((offset + byte) & 0x3f) === last;
    }
    if (started) registers.addressWritten();
  };
  return {
    read8: readByte,
    read16(offset) {
      tell("read of 16 bits", offset);
      return (readByte(offset) << 8) | readByte(offset + 1);
    },
    read32(offset) {
      const high = (readByte(offset) << 24) | (readByte(offset + 1) << 16);
      return (high | (readByte(offset + 2) << 8) | readByte(offset + 3)) >>> 0;
    },
    write8: (offset, value) => write(offset, value, 1),
    write16(offset, value) {
      tell("write of 16 bits", offset);
      write(offset, value, 2);
    },
    write32: (offset, value) => write(offset, value, 4),
  };
}
