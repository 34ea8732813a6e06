/**
 * The first of the two contracts through which the halves meet: a window of registers. The value is the register's
 * value as its specification defines it (a PCI register is little-endian on the bus); whoever gives the window does
 * the swapping that its bus needs. Offsets are bytes from the start of the window.
 */
export interface RegisterWindow {
  read8(offset: number): number;
  read16(offset: number): number;
  read32(offset: number): number;
  write8(offset: number, value: number): void;
  write16(offset: number, value: number): void;
  write32(offset: number, value: number): void;
}

/** Bytes of one access. */
export type AccessWidth = 1 | 2 | 4;

/** Reads `width` bytes. */
export function readRegister(window: RegisterWindow, offset: number, width: AccessWidth): number {
  return width === 1 ? window.read8(offset) : width === 2 ? window.read16(offset) : window.read32(offset);
}

/** Writes `width` bytes. */
export function writeRegister(window: RegisterWindow, offset: number, width: AccessWidth, value: number): void {
  if (width === 1) window.write8(offset, value);
  else if (width === 2) window.write16(offset, value);
  else window.write32(offset, value);
}

/** The low `width` bytes of `value`: what a narrow read of a wider register gives. */
export function lowBytes(value: number, width: AccessWidth): number {
  return width === 4 ? value >>> 0 : value & (width === 2 ? 0xffff : 0xff);
}

/** A window made of two functions that take the width. */
export function windowOf(
  read: (offset: number, width: AccessWidth) => number,
  write: (offset: number, width: AccessWidth, value: number) => void,
): RegisterWindow {
  return {
    read8: (offset) => read(offset, 1),
    read16: (offset) => read(offset, 2),
    read32: (offset) => read(offset, 4),
    write8: (offset, value) => write(offset, 1, value),
    write16: (offset, value) => write(offset, 2, value),
    write32: (offset, value) => write(offset, 4, value),
  };
}

/** The part of `window` that starts at `base`. */
export function subWindow(window: RegisterWindow, base: number): RegisterWindow {
  if (base === 0) return window;
  return windowOf(
    (offset, width) => readRegister(window, base + offset, width),
    (offset, width, value) => writeRegister(window, base + offset, width, value),
  );
}
