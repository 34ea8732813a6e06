/** Which ring format a queue has, and the halves that go with what was negotiated. Nobody above this knows the classes. */
import type { GuestMemory } from "../memory/index.js";
import { indexAdd } from "./needs-event.js";
import { OrderedQueue } from "./ordered-queue.js";
import { PackedDevice } from "./packed-device.js";
import { PackedDriver } from "./packed-driver.js";
import { isPackedQueueSize, packedPlace } from "./packed-layout.js";
import type { MovableQueueDevice, QueueDeviceOptions, QueueDriver, QueueDriverOptions } from "./queue.js";
import { isQueueSize } from "./ring-layout.js";
import { SplitDevice } from "./split-device.js";
import { SplitDriver } from "./split-driver.js";
import { InOrderSplitDriver } from "./split-driver-in-order.js";

/** The ring formats; a queue has one of them from its negotiation on. */
export const ringFormats = ["split", "packed"] as const;

/** The name of a ring format. */
export type RingFormat = (typeof ringFormats)[number];

/**
 * The driver half of a queue.
 * @throws RangeError for a size that the format cannot have; ProtocolError when the ring lies outside memory.
 */
export function createQueueDriver<Cookie>(
  format: RingFormat,
  memory: GuestMemory,
  options: QueueDriverOptions,
): QueueDriver<Cookie> {
  if (format === "packed") return new PackedDriver<Cookie>(memory, options);
  return options.inOrder === true
    ? new InOrderSplitDriver<Cookie>(memory, options)
    : new SplitDriver<Cookie>(memory, options);
}

/**
 * The device half of a queue. @throws ProtocolError `ring-size-invalid`, `packed-ring-size-invalid`,
 * `ring-outside-memory`, `ring-misaligned`, `ring-overrun` (a packed ring that cannot stand where it should)
 */
export function createQueueDevice(
  format: RingFormat,
  memory: GuestMemory,
  options: QueueDeviceOptions,
): MovableQueueDevice {
  const ring = format === "packed" ? new PackedDevice(memory, options) : new SplitDevice(memory, options);
  return options.inOrder === true ? new OrderedQueue(ring) : ring;
}

/** Whether a queue of this format can have so many descriptors. */
export function isRingSize(format: RingFormat, size: number): boolean {
  return format === "packed" ? isPackedQueueSize(size) : isQueueSize(size);
}

/** The largest size up to `size` that a queue of this format can have; 0 for none. */
export function ringSizeUpTo(format: RingFormat, size: number): number {
  if (isRingSize(format, size) || size < 1) return Math.max(0, size);
  return 2 ** Math.floor(Math.log2(size));
}

/** Where a queue stands after `count` descriptors (packed) or chains (split) since it began. */
export function ringPlace(format: RingFormat, count: number, size: number): number {
  return format === "packed" ? packedPlace(count, size) : indexAdd(0, count);
}
