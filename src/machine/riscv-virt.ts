import { qemuVendorId } from "../transport/index.js";
import type { Board } from "./board.js";
import { mmioSlots } from "./mmio.js";

/** The machine that teaching kernels for RISC-V run on: eight virtio-mmio windows, lines 1 to 8 of the PLIC. */
export const riscvVirt: Board = {
  name: "riscv-virt",
  title: "RISC-V virt, virtio over MMIO",
  endianness: "little",
  ramBase: 0x8000_0000,
  defaultRamSize: 0x800_0000,
  bridges: [],
  mmio: {
    windows: mmioSlots({ base: 0x1000_1000, size: 0x1000, irq: 1 }, 8),
    vendorId: qemuVendorId,
    qemuBus: "virtio-mmio-bus.",
  },
  qemu: {
    system: "riscv64",
    machine: "virt",
    minimumVersion: [7, 2],
    firmwareSize: 0,
    options: [{ sinceMajor: 0, arguments: ["-bios", "none"] }],
  },
};
