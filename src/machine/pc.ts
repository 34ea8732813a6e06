import { i440fxFunctions } from "../pci/index.js";
import type { Board } from "./board.js";

/** The i440FX PC: little-endian, port I/O, message interrupts. */
export const pc: Board = {
  name: "pc",
  title: "PC (i440FX and PIIX3)",
  endianness: "little",
  ramBase: 0,
  defaultRamSize: 0x1000_0000,
  bridges: [
    {
      kind: "i440fx",
      name: "i440FX",
      bus: 0,
      config: { space: "port", addressRegister: 0xcf8, dataRegister: 0xcfc },
      // Between the most RAM that the board takes below 4 GiB and the I/O APIC.
      memory: [{ space: "memory", cpuBase: 0xe000_0000, pciBase: 0xe000_0000, size: 0x1ec0_0000 }],
      io: [
        {
          ...{ space: "port", cpuBase: 0, pciBase: 0, size: 0x1_0000 },
          // Clear of ISA devices, power management and hotplug ports.
          assign: { base: 0xc000, size: 0x4000 },
        },
      ],
      interrupts: { lines: 4, offset: 3, sense: { kind: "piix3", slot: 1, function: 0, routing: 0x60 } },
      messageInterrupts: true,
      onboard: i440fxFunctions,
    },
  ],
  adapters: {
    bridge: 0,
    slots: Array.from({ length: 30 }, (_, index) => index + 2),
    qemuBus: "pci.0",
    virtio: "transitional",
  },
  qemu: {
    system: "x86_64",
    machine: "pc",
    minimumVersion: [7, 2],
    firmwareSize: 0,
    options: [],
    largestRam: 0xc000_0000,
  },
};
