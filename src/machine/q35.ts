import { q35Functions } from "../pci/index.js";
import type { Board } from "./board.js";

/** The Q35 PC: the i440FX one's successor. What sits on its root bus needs no PCI Express, so legacy virtio works there. */
export const q35: Board = {
  name: "q35",
  title: "PC (Q35 and ICH9)",
  endianness: "little",
  ramBase: 0,
  defaultRamSize: 0x1000_0000,
  bridges: [
    {
      kind: "q35",
      name: "Q35",
      bus: 0,
      config: { space: "port", addressRegister: 0xcf8, dataRegister: 0xcfc },
      // Above where firmware puts the memory-mapped configuration space, and below the I/O APIC.
      memory: [{ space: "memory", cpuBase: 0xc000_0000, pciBase: 0xc000_0000, size: 0x3ec0_0000 }],
      io: [
        {
          ...{ space: "port", cpuBase: 0, pciBase: 0, size: 0x1_0000 },
          // Clear of ISA devices, power management and hotplug ports.
          assign: { base: 0xc000, size: 0x4000 },
        },
      ],
      // PIRQE–H, which are wired to inputs of the I/O APIC.
      interrupts: { lines: 4, offset: 0, sense: { kind: "ioapic", firstInput: 20 } },
      messageInterrupts: true,
      onboard: q35Functions,
    },
  ],
  adapters: {
    bridge: 0,
    // From 25 on a slot's pins go where a register of the ICH9 says, and 31 is the ICH9 itself.
    slots: Array.from({ length: 24 }, (_, index) => index + 1),
    qemuBus: "pcie.0",
    virtio: "transitional",
  },
  qemu: {
    ...{ system: "x86_64", machine: "q35", minimumVersion: [7, 2], firmwareSize: 0, options: [] },
    // With more it splits its memory at 2 GiB.
    largestRam: 0xaff0_0000,
  },
};
