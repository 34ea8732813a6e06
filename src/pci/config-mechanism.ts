/** Configuration mechanism #1 (PCI 3.0 §3.2.2.3.2), device half: the address and the data register of a bridge. */
import { type RegisterWindow, windowOf } from "../bytes/index.js";
import { allOnes } from "./address-decoder.js";
import type { PciBus } from "./bus.js";

const enableBit = 0x8000_0000;

/** The two registers of configuration mechanism #1, device half (PCI 3.0 §3.2.2.3.2). */
export class ConfigMechanismDevice {
  /** CONFIG_ADDRESS: written as a whole, a narrower write goes nowhere. */
  readonly addressRegister: RegisterWindow;
  /** CONFIG_DATA: four bytes, any width. */
  readonly dataRegister: RegisterWindow;
  readonly #bus: PciBus;
  #address = 0;

  constructor(bus: PciBus) {
    this.#bus = bus;
    this.addressRegister = windowOf(
      (offset, width) => (offset === 0 ? (this.#address & allOnes(width)) >>> 0 : allOnes(width)),
      (offset, width, value) => {
        if (offset === 0 && width === 4) this.#address = value >>> 0;
      },
    );
    this.dataRegister = windowOf(
      (offset, width) => {
        if ((this.#address & enableBit) === 0) return allOnes(width);
        return this.#bus.readConfig(this.#address, (this.#address & 0xfc) + offset, width);
      },
      (offset, width, value) => {
        if ((this.#address & enableBit) === 0) return;
        this.#bus.writeConfig(this.#address, (this.#address & 0xfc) + offset, width, value);
      },
    );
  }

  reset(): void {
    this.#address = 0;
  }
}
