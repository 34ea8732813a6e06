/** The Amiga's custom chips, as far as the monitor uses them. */

/** Where they are. */
export const customBase = 0xdf_f000;

/** Offsets from {@link customBase}: raster position, serial line, interrupt requests and enables, DMA. */
export const Custom = {
  Vhposr: 0x06,
  Serdatr: 0x18,
  Intreqr: 0x1e,
  Serdat: 0x30,
  Serper: 0x32,
  Dmacon: 0x96,
  Intena: 0x9a,
  Intreq: 0x9c,
} as const;
