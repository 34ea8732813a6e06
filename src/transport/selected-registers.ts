/** What a driver selected: which queue, and which word of features, the registers behind show (virtio 1.2 §4.1.4.3). */
export interface SelectedRegisters {
  /** 16 bits; there need be no such queue. */
  queue: number;
  /** 32 bits: the word of the features that the device offers. */
  deviceFeatures: number;
  /** 32 bits: the word of those that the driver chose. */
  driverFeatures: number;
}
