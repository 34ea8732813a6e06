import { articiaFunctions, vt82c686bFunctions } from "../pci/index.js";
import type { Board } from "./board.js";

/** Eyetech AmigaOne SE: PowerPC, Articia S, VT82C686B. PCI slots 8, 9 and 10 are free. */
export const amigaone: Board = {
  name: "amigaone",
  title: "AmigaOne (PowerPC, Articia S), legacy virtio",
  endianness: "big",
  ramBase: 0,
  defaultRamSize: 0x1000_0000,
  bridges: [
    {
      kind: "articia",
      name: "Articia S",
      bus: 0,
      config: { space: "memory", addressRegister: 0xfec0_0cf8, dataRegister: 0xfee0_0cfc },
      memory: [
        { space: "memory", cpuBase: 0x8000_0000, pciBase: 0x8000_0000, size: 0x7d00_0000 },
        // PCI memory from 0 on, for legacy video: never given to a BAR.
        { space: "memory", cpuBase: 0xfd00_0000, pciBase: 0, size: 0xe_0000, assign: { base: 0, size: 0 } },
      ],
      io: [
        {
          ...{ space: "memory", cpuBase: 0xfe00_0000, pciBase: 0, size: 0xc0_0000 },
          // Above what the south bridge decodes; firmware puts I/O BARs there too.
          assign: { base: 0x80_0000, size: 0x40_0000 },
        },
      ],
      interrupts: { lines: 4, offset: 0 },
      messageInterrupts: false,
      onboard: [...articiaFunctions, ...vt82c686bFunctions],
    },
  ],
  adapters: { bridge: 0, slots: [8, 9, 10], qemuBus: "pci.0", virtio: "transitional" },
  qemu: {
    system: "ppc",
    machine: "amigaone",
    minimumVersion: [8, 2],
    firmwareSize: 0x8_0000,
    options: [{ sinceMajor: 10, arguments: ["-audio", "driver=none"] }],
  },
};
