/** The virtio-mmio windows of a board and what is in them. An empty window shows a device of type 0, as QEMU's do. */
import { type RegisterWindow, readRegister, windowOf, writeRegister } from "../../bytes/index.js";
import type { DecodePiece } from "../../pci/index.js";
import { type MmioWindow, mmioMagic, mmioRegisters, type VirtioMmioDevice } from "../../transport/index.js";

export class MmioBay {
  /** For the processor's address decoder. */
  readonly pieces: readonly DecodePiece[];
  readonly vendorId: number;
  readonly #windows: readonly MmioWindow[];
  readonly #devices: (VirtioMmioDevice | undefined)[];

  constructor(windows: readonly MmioWindow[], vendorId: number) {
    this.#windows = windows;
    this.vendorId = vendorId;
    this.#devices = windows.map(() => undefined);
    const empty = emptySlot(vendorId);
    this.pieces = windows.map(({ base, size }, index) => {
      const inside = (): RegisterWindow => this.#devices[index]?.window ?? empty;
      const window = windowOf(
        (offset, width) => readRegister(inside(), offset, width),
        (offset, width, value) => writeRegister(inside(), offset, width, value),
      );
      return { space: "memory", base, size, window };
    });
  }

  /**
   * Puts a device into a window: the one with index `slot`, or the first free one.
   * @returns its interrupt input, or undefined when there is no such free window.
   */
  plug(device: VirtioMmioDevice, slot = this.#devices.indexOf(undefined)): number | undefined {
    if (this.#windows[slot] === undefined || this.#devices[slot] !== undefined) return undefined;
    this.#devices[slot] = device;
    return this.#windows[slot].irq;
  }

  /** Takes a device out; its window is empty afterwards. */
  unplug(device: VirtioMmioDevice): void {
    const slot = this.#devices.indexOf(device);
    if (slot >= 0) this.#devices[slot] = undefined;
  }

  /** Whether any device on an interrupt input raises it. */
  isRaised(irq: number): boolean {
    return this.#windows.some((window, index) => window.irq === irq && this.#devices[index]?.lineRaised === true);
  }

  /** Every device as after power-on. */
  reset(): void {
    for (const device of this.#devices) device?.reset();
  }
}

/** virtio 1.2 §4.2.2.2: a window without a device has device id 0, and drivers pass over it without a word. */
function emptySlot(vendorId: number): RegisterWindow {
  const values = new Map<number, number>([
    [mmioRegisters.magicValue.offset, mmioMagic],
    [mmioRegisters.version.offset, 2],
    [mmioRegisters.vendorId.offset, vendorId],
  ]);
  return windowOf(
    (offset, width) => (width === 4 ? (values.get(offset) ?? 0) : 0),
    () => {},
  );
}
