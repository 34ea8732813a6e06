/**
 * MSI-X, device half (PCI 3.0 §6.8.2 and §6.8.3): the capability, the table and the pending bits. Put `window` into
 * a BAR, `capability` into the function's list, and give the object to the function as `msix`.
 */
import { type AccessWidth, type RegisterWindow, windowOf } from "../bytes/index.js";
import { capabilityIds, msixCapability, msixEntry } from "./config-layout.js";
import type { PciCapability } from "./function.js";

/** Size and place of an MSI-X table. */
export interface MsixOptions {
  /** Table size, 1–2048. */
  readonly vectors: number;
  /** BAR that holds table and pending bits. */
  readonly bar: number;
  /** Offset of the table in that BAR, a multiple of 8. Default 0. */
  readonly tableOffset?: number;
  /** Offset of the pending bits, a multiple of 8. Default: after the table, at the next multiple of 2048. */
  readonly pbaOffset?: number;
  /** Place of the capability in configuration space. */
  readonly at?: number;
  /** Called after the enable or function mask bit was written and differs. The legacy virtio header moves then. */
  onChange?(state: { readonly enabled: boolean; readonly functionMasked: boolean }): void;
}

/** The MSI-X table and pending bits of one function. */
export class MsixTable {
  readonly vectors: number;
  readonly capability: PciCapability;
  /** Table and pending bits at their offsets; everything between reads 0. */
  readonly window: RegisterWindow;
  readonly #bytes: Uint8Array;
  readonly #table: DataView;
  readonly #pending: DataView;
  readonly #tableOffset: number;
  readonly #pbaOffset: number;
  readonly #onChange: MsixOptions["onChange"];
  #enabled = false;
  #functionMasked = false;
  #send: ((address: number, data: number) => void) | undefined;

  /** @throws RangeError when a number is out of its range. */
  constructor(options: MsixOptions) {
    const { vectors, bar, tableOffset = 0 } = options;
    if (!Number.isInteger(vectors) || vectors < 1 || vectors > 2048) throw new RangeError(`${vectors} MSI-X vectors`);
    const tableEnd = tableOffset + vectors * msixEntry.size;
    const pbaOffset = options.pbaOffset ?? Math.ceil(tableEnd / 2048) * 2048;
    if (tableOffset % 8 !== 0 || pbaOffset % 8 !== 0) throw new RangeError("MSI-X structures are 8-byte aligned");
    const pbaSize = Math.ceil(vectors / 64) * 8;
    if (pbaOffset < tableEnd && tableOffset < pbaOffset + pbaSize) {
      throw new RangeError("MSI-X table and pending bits overlap");
    }
    this.vectors = vectors;
    this.#tableOffset = tableOffset;
    this.#pbaOffset = pbaOffset;
    this.#onChange = options.onChange?.bind(options);
    this.#table = new DataView(new ArrayBuffer(vectors * msixEntry.size));
    this.#pending = new DataView(new ArrayBuffer(pbaSize));
    const bytes = new Uint8Array(msixCapability.size);
    const view = new DataView(bytes.buffer);
    bytes[0] = capabilityIds.msix;
    view.setUint16(msixCapability.control, vectors - 1, true);
    view.setUint32(msixCapability.table, tableOffset | bar, true);
    view.setUint32(msixCapability.pba, pbaOffset | bar, true);
    const writable = new Uint8Array(msixCapability.size);
    writable[msixCapability.control + 1] = (msixCapability.enable | msixCapability.functionMask) >>> 8;
    this.#bytes = bytes;
    this.capability = {
      bytes,
      writable,
      ...(options.at === undefined ? {} : { at: options.at }),
      onWrite: () => this.#controlWritten(),
      onReset: () => this.reset(),
    };
    this.window = windowOf(
      (offset, width) => this.#read(offset, width),
      (offset, width, value) => this.#write(offset, width, value),
    );
    this.reset();
  }

  /** The driver turned MSI-X on: messages are sent and INTx is silent. */
  get enabled(): boolean {
    return this.#enabled;
  }

  get functionMasked(): boolean {
    return this.#functionMasked;
  }

  /** Where messages go; the function that owns the table calls this. */
  connect(send: ((address: number, data: number) => void) | undefined): void {
    this.#send = send;
  }

  /** Asks for the message of `vector`: sent now, kept pending while masked, dropped while MSI-X is off. */
  notify(vector: number): void {
    if (!this.#enabled || vector >= this.vectors) return;
    if (this.#functionMasked || this.#vectorMasked(vector)) this.#setPending(vector, true);
    else this.#deliver(vector);
  }

  /** True while a message of `vector` waits for a mask bit to be cleared. */
  isPending(vector: number): boolean {
    return (this.#pending.getUint8(vector >>> 3) & (1 << (vector & 7))) !== 0;
  }

  /** After RST#: off, every vector masked (PCI 3.0 §6.8.2.9), nothing pending. */
  reset(): void {
    this.#bytes[msixCapability.control + 1] &= 0x07;
    for (let at = 0; at < this.#table.byteLength; at++) this.#table.setUint8(at, 0);
    for (let vector = 0; vector < this.vectors; vector++) {
      this.#table.setUint32(vector * msixEntry.size + msixEntry.control, msixEntry.masked, true);
    }
    for (let at = 0; at < this.#pending.byteLength; at++) this.#pending.setUint8(at, 0);
    this.#controlWritten();
  }

  #controlWritten(): void {
    const high = this.#bytes[msixCapability.control + 1] << 8;
    const enabled = (high & msixCapability.enable) !== 0;
    const functionMasked = (high & msixCapability.functionMask) !== 0;
    if (enabled === this.#enabled && functionMasked === this.#functionMasked) return;
    this.#enabled = enabled;
    this.#functionMasked = functionMasked;
    this.#onChange?.({ enabled, functionMasked });
    this.#deliverPending();
  }

  #vectorMasked(vector: number): boolean {
    const control = this.#table.getUint8(vector * msixEntry.size + msixEntry.control);
    return (control & msixEntry.masked) !== 0;
  }

  #setPending(vector: number, pending: boolean): void {
    const at = vector >>> 3;
    const bit = 1 << (vector & 7);
    const byte = this.#pending.getUint8(at);
    this.#pending.setUint8(at, pending ? byte | bit : byte & ~bit);
  }

  #deliver(vector: number): void {
    const at = vector * msixEntry.size;
    const low = (this.#table.getUint32(at + msixEntry.addressLow, true) & ~3) >>> 0;
    const high = this.#table.getUint32(at + msixEntry.addressHigh, true);
    this.#send?.(high * 0x1_0000_0000 + low, this.#table.getUint32(at + msixEntry.data, true));
  }

  #deliverPending(): void {
    if (!this.#enabled || this.#functionMasked) return;
    for (let vector = 0; vector < this.vectors; vector++) {
      if (!this.isPending(vector) || this.#vectorMasked(vector)) continue;
      this.#setPending(vector, false);
      this.#deliver(vector);
    }
  }

  #read(offset: number, width: AccessWidth): number {
    let value = 0;
    for (let index = 0; index < width; index++) value += this.#readByte(offset + index) * 2 ** (8 * index);
    return value;
  }

  #readByte(offset: number): number {
    const inTable = offset - this.#tableOffset;
    if (inTable >= 0 && inTable < this.#table.byteLength) return this.#table.getUint8(inTable);
    const inPending = offset - this.#pbaOffset;
    if (inPending >= 0 && inPending < this.#pending.byteLength) return this.#pending.getUint8(inPending);
    return 0;
  }

  /** Pending bits are read-only; bits 31–1 of vector control are reserved and kept 0 (PCI 3.0 §6.8.2.9). */
  #write(offset: number, width: AccessWidth, value: number): void {
    for (let index = 0; index < width; index++) {
      const at = offset - this.#tableOffset + index;
      if (at < 0 || at >= this.#table.byteLength) continue;
      const field = at % msixEntry.size;
      const byte = (value >>> (8 * index)) & 0xff;
      if (field < msixEntry.control) this.#table.setUint8(at, byte);
      else if (field === msixEntry.control) this.#table.setUint8(at, byte & msixEntry.masked);
    }
    this.#deliverPending();
  }
}
