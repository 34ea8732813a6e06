/** The legacy handshake through BAR0's I/O ports, 2.1 of the reference. */
import type { Endianness, RegisterWindow } from "../../../bytes/index.js";
import { type Observer, tracedWindow } from "../../../observe/index.js";
import type { PciFunctionHandle } from "../../../pci/index.js";
import { DeviceStatus, legacyPageSize, legacyRegisters as r } from "../../../transport/index.js";
import { type BringUp, type BroughtUp, type ControllerRegisters, queueCount } from "./controller-registers.js";

/** Registers of a controller with the transitional id; undefined without an I/O BAR 0 that can be reached. */
export function openLegacyController(
  fn: PciFunctionHandle,
  endianness: Endianness,
  observer: Observer | undefined,
): ControllerRegisters | undefined {
  const window = fn.bars.find(({ index }) => index === 0)?.space === "io" ? fn.bar(0) : undefined;
  if (window === undefined) return undefined;
  return new LegacyController(tracedWindow(window, r, `virtioscsi ${fn.place}`, observer), endianness);
}

class LegacyController implements ControllerRegisters {
  readonly kind = "pci-legacy";
  readonly endianness: Endianness;
  readonly #io: RegisterWindow;

  constructor(io: RegisterWindow, endianness: Endianness) {
    this.#io = io;
    this.endianness = endianness;
  }

  bringUp({ features, ring, debug }: BringUp): BroughtUp {
    const io = this.#io;
    const { Acknowledge, Driver, DriverOk } = DeviceStatus;
    io.write8(r.deviceStatus.offset, 0);
    io.read8(r.isrStatus.offset);
    io.write8(r.deviceStatus.offset, Acknowledge);
    io.write8(r.deviceStatus.offset, Acknowledge | Driver);
    const taken = (io.read32(r.deviceFeatures.offset) & features) >>> 0;
    io.write32(r.driverFeatures.offset, taken);
    for (let queue = 0; queue < queueCount; queue++) {
      io.write16(r.queueSelect.offset, queue);
      const size = io.read16(r.queueSize.offset);
      if (size === 0) continue;
      io.write32(r.queueAddress.offset, ring(queue, size, taken).physical / legacyPageSize);
    }
    io.write8(r.deviceStatus.offset, Acknowledge | Driver | DriverOk);
    const status = io.read8(r.deviceStatus.offset);
    debug(`status 0x${status.toString(16)}`);
    return { features: taken, isVersion1: false };
  }

  notify(queue: number): void {
    this.#io.write16(r.queueNotify.offset, queue);
  }

  readIsr(): number {
    return this.#io.read8(r.isrStatus.offset);
  }

  reset(): boolean {
    this.#io.write8(r.deviceStatus.offset, 0);
    return this.#io.read8(r.deviceStatus.offset) === 0;
  }
}
