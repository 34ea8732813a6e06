/** MSI-X, driver half (PCI 3.0 §6.8.2 and §6.8.3.5). */
import { type RegisterWindow, subWindow } from "../bytes/index.js";
import { capabilityIds, msixCapability, msixEntry } from "./config-layout.js";
import type { PciFunctionHandle } from "./function-handle.js";

/** The MSI-X table of a function, as its driver programs it. */
export class MsixVectors {
  /** Entries of the table. */
  readonly count: number;
  readonly #function: PciFunctionHandle;
  readonly #control: number;
  readonly #table: RegisterWindow;
  readonly #pending: RegisterWindow;

  private constructor(
    fn: PciFunctionHandle,
    control: number,
    count: number,
    table: RegisterWindow,
    pending: RegisterWindow,
  ) {
    this.#function = fn;
    this.#control = control;
    this.count = count;
    this.#table = table;
    this.#pending = pending;
  }

  /**
   * The table of a function, whose memory decoding must be on before entries are written. Undefined when it has no
   * MSI-X, or a table that its BAR does not hold.
   */
  static open(fn: PciFunctionHandle): MsixVectors | undefined {
    const capability = fn.capability(capabilityIds.msix);
    if (capability === undefined || capability.offset + msixCapability.size > 256) return undefined;
    const control = capability.offset + msixCapability.control;
    const count = (fn.readConfig(control, 2) & msixCapability.tableSizeMask) + 1;
    const table = place(fn, capability.offset + msixCapability.table, count * msixEntry.size);
    const pending = place(fn, capability.offset + msixCapability.pba, Math.ceil(count / 64) * 8);
    if (table === undefined || pending === undefined) return undefined;
    return new MsixVectors(fn, control, count, table, pending);
  }

  get enabled(): boolean {
    return (this.#function.readConfig(this.#control, 2) & msixCapability.enable) !== 0;
  }

  /** Turns MSI-X on with every vector masked; INTx is silent from now on. */
  enable(): void {
    this.#setControl(msixCapability.enable | msixCapability.functionMask, 0);
    for (let vector = 0; vector < this.count; vector++) this.mask(vector);
    this.#setControl(0, msixCapability.functionMask);
  }

  disable(): void {
    this.#setControl(0, msixCapability.enable | msixCapability.functionMask);
  }

  /** Masks or unmasks all vectors at once. */
  setFunctionMask(masked: boolean): void {
    if (masked) this.#setControl(msixCapability.functionMask, 0);
    else this.#setControl(0, msixCapability.functionMask);
  }

  /** Sets where a vector's message goes and unmasks it. @throws RangeError for a vector outside the table. */
  program(vector: number, message: { readonly address: number; readonly data: number }): void {
    this.mask(vector);
    const at = this.#entry(vector);
    this.#table.write32(at + msixEntry.addressLow, message.address % 0x1_0000_0000);
    this.#table.write32(at + msixEntry.addressHigh, Math.floor(message.address / 0x1_0000_0000));
    this.#table.write32(at + msixEntry.data, message.data >>> 0);
    this.unmask(vector);
  }

  mask(vector: number): void {
    this.#table.write32(this.#entry(vector) + msixEntry.control, msixEntry.masked);
  }

  unmask(vector: number): void {
    this.#table.write32(this.#entry(vector) + msixEntry.control, 0);
  }

  /** A message waits for its mask to be lifted. */
  isPending(vector: number): boolean {
    this.#entry(vector);
    return (this.#pending.read32((vector >>> 5) * 4) & (1 << (vector & 31))) !== 0;
  }

  #entry(vector: number): number {
    if (!Number.isInteger(vector) || vector < 0 || vector >= this.count) {
      throw new RangeError(`vector ${vector} of ${this.count}`);
    }
    return vector * msixEntry.size;
  }

  #setControl(set: number, clear: number): void {
    const value = this.#function.readConfig(this.#control, 2);
    this.#function.writeConfig(this.#control, 2, (value & ~clear) | set);
  }
}

/** The window that a table or pending-bits register points to, if its BAR holds `size` bytes there. */
function place(fn: PciFunctionHandle, register: number, size: number): RegisterWindow | undefined {
  const value = fn.readConfig(register, 4);
  const index = value & msixCapability.barMask;
  const offset = (value & ~msixCapability.barMask) >>> 0;
  if (offset + size > fn.barSize(index)) return undefined;
  const window = fn.bar(index);
  return window === undefined ? undefined : subWindow(window, offset);
}
