/** The stored part of the registers, by the chip's own numbers. What is live or has side effects is elsewhere. */
import { Reg, registerFileSize } from "../registers.js";

export class RegisterFile {
  readonly bytes = new Uint8Array(registerFileSize);
  readonly #view = new DataView(this.bytes.buffer);

  /** Values after a chip reset. */
  reset(scid: number): void {
    this.bytes.fill(0);
    this.bytes[Reg.SCNTL0] = 0xc0;
    this.bytes[Reg.SCID] = scid;
    this.bytes[Reg.DCMD] = 0x40;
  }

  /** A register of 32 bits. */
  long(number: number): number {
    return this.#view.getUint32(number, true);
  }

  setLong(number: number, value: number): void {
    this.#view.setUint32(number, value, true);
  }

  /** The remaining byte count, 24 bits. */
  get count(): number {
    return this.#view.getUint32(Reg.DBC, true) & 0xff_ffff;
  }

  set count(value: number) {
    this.#view.setUint32(Reg.DBC, ((this.bytes[Reg.DCMD] << 24) | (value & 0xff_ffff)) >>> 0, true);
  }
}
