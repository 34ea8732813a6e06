/**
 * The way from the emulated processor to our functions: what has to be done before and after every access, and what an
 * access becomes that goes wrong. v86 has no place for exceptions here, they would leave the processor half-way.
 */
import { type AccessWidth, type RegisterWindow, readRegister, writeRegister } from "../../bytes/index.js";
import { allOnes, type PciFunction } from "../../pci/index.js";

/** What surrounds accesses. */
export interface GateListener {
  /** Before a device does anything. */
  entering(): void;
  /** After it, in the middle of the processor's instruction. */
  leaving(): void;
  /** A device threw: a bug of ours. */
  failed(error: unknown): void;
}

/** Accesses to functions, one inside the other where a device causes another. */
export class RegisterGate {
  readonly #listener: GateListener;
  #depth = 0;

  constructor(listener: GateListener) {
    this.#listener = listener;
  }

  /** The processor is in the middle of an access. */
  get isInside(): boolean {
    return this.#depth > 0;
  }

  /** Reads a register; as v86 wants numbers: with sign when it has 32 bits. */
  read(window: RegisterWindow, offset: number, width: AccessWidth): number {
    this.#enter();
    try {
      const value = readRegister(window, offset, width);
      return width === 4 ? value | 0 : value & (width === 2 ? 0xffff : 0xff);
    } catch (error) {
      return this.#fail(error, width);
    } finally {
      this.#leave();
    }
  }

  write(window: RegisterWindow, offset: number, width: AccessWidth, value: number): void {
    this.#enter();
    try {
      writeRegister(window, offset, width, width === 4 ? value >>> 0 : value & (width === 2 ? 0xffff : 0xff));
    } catch (error) {
      this.#fail(error, width);
    } finally {
      this.#leave();
    }
  }

  readConfig(fn: PciFunction, offset: number): number {
    this.#enter();
    try {
      return fn.readConfig(offset, 4) | 0;
    } catch (error) {
      return this.#fail(error, 4);
    } finally {
      this.#leave();
    }
  }

  writeConfig(fn: PciFunction, offset: number, width: AccessWidth, value: number): void {
    this.#enter();
    try {
      fn.writeConfig(offset, width, value >>> 0);
    } catch (error) {
      this.#fail(error, width);
    } finally {
      this.#leave();
    }
  }

  #enter(): void {
    if (this.#depth++ === 0) this.#listener.entering();
  }

  #leave(): void {
    if (--this.#depth === 0) this.#listener.leaving();
  }

  #fail(error: unknown, width: AccessWidth): number {
    this.#listener.failed(error);
    return width === 4 ? -1 : allOnes(width);
  }
}
