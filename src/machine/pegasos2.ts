import {
  type InterruptRouting,
  mv64361FirstInterruptPin,
  mv64361Functions,
  mv64361Registers,
  vt8231Functions,
} from "../pci/index.js";
import type { Board } from "./board.js";

const registers = 0xf100_0000;

/** The lines of both units are the same four pins of the MV64361. */
const interrupts: InterruptRouting = {
  ...{ lines: 4, offset: 0 },
  sense: { kind: "mv64361", valueRegister: registers + mv64361Registers.pinValue, firstBit: mv64361FirstInterruptPin },
};

/** Genesi Pegasos II: PowerPC, MV64361 with two PCI units, VT8231 on the second, where adapters go as well. */
export const pegasos2: Board = {
  name: "pegasos2",
  title: "Pegasos II (PowerPC, MV64361), modern virtio",
  endianness: "big",
  ramBase: 0,
  defaultRamSize: 0x1000_0000,
  bridges: [
    {
      kind: "mv64361",
      name: "PCI0 of the MV64361",
      bus: 0,
      config: { space: "memory", addressRegister: registers + 0xcf8, dataRegister: registers + 0xcfc },
      memory: [{ space: "memory", cpuBase: 0xc000_0000, pciBase: 0xc000_0000, size: 0x2000_0000 }],
      io: [
        {
          ...{ space: "memory", cpuBase: 0xf800_0000, pciBase: 0, size: 0x1_0000 },
          assign: { base: 0x1000, size: 0xf000 },
        },
      ],
      interrupts,
      messageInterrupts: false,
      onboard: mv64361Functions,
      unit: { index: 0, registers },
    },
    {
      kind: "mv64361",
      name: "PCI1 of the MV64361",
      bus: 0,
      config: { space: "memory", addressRegister: registers + 0xc78, dataRegister: registers + 0xc7c },
      memory: [{ space: "memory", cpuBase: 0x8000_0000, pciBase: 0x8000_0000, size: 0x4000_0000 }],
      io: [
        {
          ...{ space: "memory", cpuBase: 0xfe00_0000, pciBase: 0, size: 0x1_0000 },
          // Below are the ISA devices of the VT8231.
          assign: { base: 0x1000, size: 0xf000 },
        },
      ],
      interrupts,
      messageInterrupts: false,
      onboard: [...mv64361Functions, ...vt8231Functions],
      unit: { index: 1, registers },
    },
  ],
  adapters: { bridge: 1, slots: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], qemuBus: "pci.1", virtio: "modern" },
  qemu: {
    system: "ppc",
    machine: "pegasos2",
    minimumVersion: [7, 2],
    firmwareSize: 0x8_0000,
    options: [{ sinceMajor: 10, arguments: ["-audio", "driver=none"] }],
  },
};
