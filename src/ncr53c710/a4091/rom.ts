/**
 * The A4091's ROM as the board shows it: each ROM byte is one longword, its high nibble on D31:28 and its low one on
 * D15:12. The configuration area is its start: high nibbles of bytes 00h–3Fh are the identity's high nibbles, those of
 * 40h–7Fh its low ones.
 */
import { busNibble, identityBytes, parseIdentity, type ZorroIdentity } from "../../zorro/index.js";

/** Commodore's A4091. */
export const a4091Identity: ZorroIdentity = {
  type: 0x90,
  product: 0x54,
  flags: 0x30,
  manufacturer: 0x0202,
  serial: 0,
  diagnosticVector: 0x0200,
};

/**
 * What the undriven data lines read as: the only measurement of a real board has its first longword as 90F8FF00h.
 */
const undriven = 0x00f8_0f00;
const driven = 0xf000_f000;
const generatedSize = 0x8000;
const largest = 0x1_0000;
const partner = 0x40;
const diagArea = 0x80;

/** What an image can be refused for. */
export class RomError extends Error {
  override readonly name = "RomError";
}

/** A ROM image that makes a board which systems find and no boot code. `serial` is the version. */
export function generateRom(identity: ZorroIdentity = a4091Identity): Uint8Array {
  const rom = new Uint8Array(generatedSize).fill(0xff);
  for (const [index, byte] of identityBytes(identity).entries()) {
    rom[index] = (busNibble(byte, index, "high") << 4) | 0x0f;
    rom[partner + index] = (busNibble(byte, index, "low") << 4) | 0x0f;
  }
  // A DiagArea that is nibble-wide and for configuration time, and has neither diagnostic nor boot code.
  rom.set([0x10, 0x00, 0x00, 0x10], diagArea);
  rom.fill(0, diagArea + 4, diagArea + 0x10);
  return rom;
}

/** The ROM of a board. */
export class A4091Rom {
  readonly identity: ZorroIdentity;
  readonly #bytes: Uint8Array;

  /** @throws RomError when the image is empty, larger than 64 KiB, or no Zorro III board's. */
  constructor(image: Uint8Array) {
    if (image.length === 0 || image.length > largest) {
      throw new RomError(`a ROM image has 1…${largest} bytes, this one has ${image.length}`);
    }
    let size = 0x100;
    while (size < image.length) size *= 2;
    this.#bytes = new Uint8Array(size).fill(0xff);
    this.#bytes.set(image);
    this.identity = this.#parse();
    if ((this.identity.type & 0xc0) !== 0x80) {
      const type = this.identity.type.toString(16).padStart(2, "0");
      throw new RomError(`a ROM image begins with a Zorro III identity (type 80h to BFh), this one has type ${type}h`);
    }
  }

  /** The longword at a byte offset; the image repeats. */
  long(offset: number): number {
    const byte = this.#bytes[(offset >>> 2) & (this.#bytes.length - 1)];
    return (((((byte & 0xf0) << 24) | ((byte & 0x0f) << 12)) & driven) | undriven) >>> 0;
  }

  #parse(): ZorroIdentity {
    const bytes = new Uint8Array(12);
    for (let index = 0; index < bytes.length; index++) {
      const byte = (this.#bytes[index] & 0xf0) | (this.#bytes[partner + index] >> 4);
      bytes[index] = index === 0 ? byte : byte ^ 0xff;
    }
    return parseIdentity(bytes);
  }
}
