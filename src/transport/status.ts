/** Device status bits, virtio 1.2 §2.1. FEATURES_OK and NEEDS_RESET do not exist on legacy devices. */
export const DeviceStatus = {
  Acknowledge: 1,
  Driver: 2,
  DriverOk: 4,
  FeaturesOk: 8,
  NeedsReset: 64,
  Failed: 128,
} as const;

/** ISR status bits, virtio 1.2 §4.1.4.5. */
export const IsrStatus = { Queue: 1, Config: 2 } as const;

/** A vector register that maps no vector (virtio 1.2 §4.1.5.1.2). */
export const noVector = 0xffff;
