/** I/O BARs of our functions among v86's ports. */
import type { AccessWidth } from "../../bytes/index.js";
import type { PciBar } from "../../pci/index.js";
import type { PortEntry, PortRead, PortWrite, V86Cpu } from "./emulator.js";
import type { RegisterGate } from "./register-gate.js";

const portCount = 0x1_0000;

/** Ports that our BARs have now. */
export class PortDecoder {
  readonly #ports: PortEntry[];
  readonly #gate: RegisterGate;
  /** What answers at each byte of a BAR: made once, since firmware moves BARs about. */
  readonly #entries = new Map<PciBar, readonly PortEntry[]>();
  /** By port: ours, and what was there before. */
  readonly #taken = new Map<number, { readonly ours: PortEntry; before: PortEntry }>();

  constructor(cpu: V86Cpu, gate: RegisterGate) {
    this.#ports = cpu.io.ports;
    this.#gate = gate;
  }

  /** Makes these BARs answer, and no others. Where two overlap, the first does. */
  map(bars: readonly PciBar[]): void {
    for (const [port, { ours, before }] of this.#taken) if (this.#ports[port] === ours) this.#ports[port] = before;
    this.#taken.clear();
    for (const bar of bars) {
      for (const [offset, ours] of this.#entriesOf(bar).entries()) {
        const port = bar.base + offset;
        if (port >= portCount || this.#taken.has(port)) continue;
        this.#taken.set(port, { ours, before: this.#ports[port] });
        this.#ports[port] = ours;
      }
    }
  }

  /** v86 moved a BAR of its own, and may have cleared ports that are ours by now. */
  refresh(): void {
    for (const [port, taken] of this.#taken) {
      if (this.#ports[port] === taken.ours) continue;
      taken.before = this.#ports[port];
      this.#ports[port] = taken.ours;
    }
  }

  #entriesOf(bar: PciBar): readonly PortEntry[] {
    const known = this.#entries.get(bar);
    if (known !== undefined) return known;
    const entries = Array.from({ length: bar.size }, (_, offset) => this.#entry(bar, offset));
    this.#entries.set(bar, entries);
    return entries;
  }

  #entry({ window, size }: PciBar, offset: number): PortEntry {
    const gate = this.#gate;
    const read = (width: AccessWidth): PortRead => {
      if (offset + width > size) return () => (width === 4 ? -1 : 2 ** (8 * width) - 1);
      return () => gate.read(window, offset, width);
    };
    const write = (width: AccessWidth): PortWrite => {
      if (offset + width > size) return () => {};
      return (value) => gate.write(window, offset, width, value);
    };
    return {
      ...{ read8: read(1), read16: read(2), read32: read(4) },
      ...{ write8: write(1), write16: write(2), write32: write(4) },
      device: this,
    };
  }
}
