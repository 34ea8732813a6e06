/** Where the three parts of a split ring lie, and the names of their fields. virtio 1.2 §2.7, legacy §2.7.2. */

/** Largest queue size (virtio 1.2 §2.7): a 16-bit index then still tells full from empty. */
export const maxQueueSize = 32768;

/** Descriptor flags, virtio 1.2 §2.7.5. */
export const DescriptorFlag = { Next: 1, Write: 2, Indirect: 4 } as const;

/** Flag in the available ring: the driver asks for no interrupts (§2.7.6). */
export const noInterruptFlag = 1;
/** Flag in the used ring: the device asks for no notifications (§2.7.8). */
export const noNotifyFlag = 1;

/** Bytes of a descriptor. */
export const descriptorSize = 16;

/** Guest-physical addresses of the three parts. */
export interface RingAddresses {
  /** Descriptor table: 16 bytes a descriptor, 16-byte aligned. */
  readonly descriptors: number;
  /** Available ring (driver area): flags, index, one u16 a descriptor, used_event; 2-byte aligned. */
  readonly available: number;
  /** Used ring (device area): flags, index, 8 bytes an element, avail_event; 4-byte aligned. */
  readonly used: number;
}

/** The three parts in one block of memory: byte offsets and the block's size and alignment. */
export interface RingLayout {
  readonly descriptors: number;
  readonly available: number;
  readonly used: number;
  readonly byteLength: number;
  readonly alignment: number;
}

/** True for the sizes a split ring can have: powers of two within 1…32768. */
export function isQueueSize(size: number): boolean {
  return Number.isInteger(size) && size >= 1 && size <= maxQueueSize && (size & (size - 1)) === 0;
}

/** Bytes of an available ring with its event field. */
export function availableRingSize(queueSize: number): number {
  return 6 + 2 * queueSize;
}

/** Bytes of a used ring with its event field. */
export function usedRingSize(queueSize: number): number {
  return 6 + 8 * queueSize;
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/**
 * The legacy layout: one block, the used ring at the next multiple of `alignment` (4096 over PCI, QueueAlign over
 * MMIO). The specification's own formula leaves out both event fields; this is the corrected one.
 */
export function legacyLayout(queueSize: number, alignment = 4096): RingLayout {
  const available = descriptorSize * queueSize;
  const used = alignUp(available + availableRingSize(queueSize), Math.max(alignment, 4));
  return {
    descriptors: 0,
    available,
    used,
    byteLength: used + alignUp(usedRingSize(queueSize), alignment),
    alignment: Math.max(alignment, 16),
  };
}

/** A compact layout for transports that take three addresses (virtio 1.x). */
export function compactLayout(queueSize: number): RingLayout {
  const available = descriptorSize * queueSize;
  const used = alignUp(available + availableRingSize(queueSize), 4);
  return { descriptors: 0, available, used, byteLength: used + usedRingSize(queueSize), alignment: 16 };
}

/** Addresses of a layout whose block starts at `base`. */
export function layoutAt(layout: RingLayout, base: number): RingAddresses {
  return {
    descriptors: base + layout.descriptors,
    available: base + layout.available,
    used: base + layout.used,
  };
}
