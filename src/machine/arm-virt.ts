import { qemuVendorId } from "../transport/index.js";
import type { Board } from "./board.js";
import { mmioSlots } from "./mmio.js";

/** Arm's virtual machine: 32 virtio-mmio windows, shared interrupts 16 to 47 of the GIC. */
export const armVirt: Board = {
  name: "arm-virt",
  title: "Arm virt, virtio over MMIO",
  endianness: "little",
  ramBase: 0x4000_0000,
  defaultRamSize: 0x800_0000,
  bridges: [],
  mmio: {
    windows: mmioSlots({ base: 0xa00_0000, size: 0x200, irq: 16 }, 32),
    vendorId: qemuVendorId,
    qemuBus: "virtio-mmio-bus.",
  },
  qemu: { system: "arm", machine: "virt", minimumVersion: [7, 2], firmwareSize: 0, options: [] },
};
