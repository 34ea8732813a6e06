/** A board's virtio-mmio windows as data. */
import { type MmioWindow, mmioConfigOffset, qemuVendorId } from "../transport/index.js";
import type { Board } from "./board.js";

/** Where a board has virtio-mmio windows. */
export interface MmioDescription {
  /** In the order in which an operating system looks at them. */
  readonly windows: readonly MmioWindow[];
  /** What VendorID shows. */
  readonly vendorId: number;
  /** QEMU's name for the bus of a window is this and the window's index; undefined when QEMU has none. */
  readonly qemuBus?: string;
}

/** `count` windows side by side, with interrupt inputs that follow each other. */
export function mmioSlots(first: MmioWindow, count: number): MmioWindow[] {
  return Array.from({ length: count }, (_, index) => ({
    base: first.base + index * first.size,
    size: first.size,
    irq: first.irq + index,
  }));
}

/**
 * The board with further windows, looked at before its own: what `virtio_mmio.device=` adds to a machine.
 * @throws RangeError when a window is too small, misplaced, or overlaps memory or another window.
 */
export function withMmioWindows(board: Board, windows: readonly MmioWindow[], ramSize = board.defaultRamSize): Board {
  const own = board.mmio?.windows ?? [];
  const ram = { what: "the memory", base: board.ramBase, size: ramSize };
  const taken = [
    ram,
    ...own.map(({ base, size }) => ({ what: "a window of the board", base, size })),
    ...board.bridges.flatMap(({ name, memory }) =>
      memory.map(({ cpuBase, size }) => ({ what: `memory behind ${name}`, base: cpuBase, size })),
    ),
  ];
  for (const { base, size } of windows) {
    const at = `the virtio-mmio window at 0x${base.toString(16)}`;
    if (size < mmioConfigOffset) throw new RangeError(`${at} has ${size} bytes: the registers alone take 256`);
    if (base % 4 !== 0) throw new RangeError(`${at} does not start at a multiple of 4`);
    const other = taken.find((range) => range.base < base + size && base < range.base + range.size);
    if (other !== undefined) throw new RangeError(`${at} overlaps ${other.what} of ${board.name}`);
    taken.push({ what: "another one", base, size });
  }
  const { vendorId, ...rest } = board.mmio ?? { vendorId: qemuVendorId };
  return { ...board, mmio: { ...rest, vendorId, windows: [...windows, ...own] } };
}
