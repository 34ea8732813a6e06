import { GuestMemory, MemoryRegion } from "../../src/memory/index.js";
import { type DeviceType, VirtioPciDevice } from "../../src/transport/index.js";

/** A virtio-scsi function as configuration space sees it; nothing is behind its queues. */
export function plainVirtioScsi(flavour: "transitional" | "modern", vectors: number): VirtioPciDevice {
  const type: DeviceType = {
    deviceId: 8,
    name: "virtio-scsi",
    featureTable: {},
    features: 6n,
    queueSizes: [128, 128, 128],
    configSize: 36,
    attach: () => {},
    readConfig: () => {},
    writeConfig: () => {},
    notified: () => {},
    reset: () => {},
  };
  const memory = new GuestMemory([new MemoryRegion(0, new Uint8Array(4096))]);
  return new VirtioPciDevice(type, { flavour, classCode: 0x010000, vectors, memory });
}
