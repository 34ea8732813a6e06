/** Both halves of one ring, of either format, in plain memory, with room for buffers behind it. */
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../memory/index.js";
import {
  compactLayout,
  createQueueDevice,
  createQueueDriver,
  layoutAt,
  type MovableQueueDevice,
  packedLayout,
  type QueueDeviceOptions,
  type QueueDriver,
  type RingAddresses,
  type RingFormat,
  ringPlace,
} from "../virtqueue/index.js";
import { pairBase } from "./split-pair.js";

/** The two halves, and what lies between them. */
export interface RingPair {
  readonly memory: GuestMemory;
  readonly view: DataView;
  readonly addresses: RingAddresses;
  readonly driver: QueueDriver<number>;
  readonly device: MovableQueueDevice;
  readonly allocator: DmaAllocator;
  /** Byte offset of an address in `view`. */
  at(address: number): number;
}

/** Queue options with defaults: 8 descriptors, no features, from the start. */
export type RingPairOptions = Partial<Omit<QueueDeviceOptions, "startIndex" | "startUsedIndex">> & {
  format: RingFormat;
  /** Descriptors (packed) or chains (split) that the ring has behind it. Default 0. */
  past?: number;
  shared?: boolean;
  excessUsedLength?: "cut" | "violation";
};

/** Makes a little-endian ring and its halves. @throws RangeError for a size that cannot be. */
export function makeRingPair(options: RingPairOptions): RingPair {
  const { format, size = 8, indirect = false, eventIndex = false, inOrder = false, past = 0 } = options;
  const layout = format === "packed" ? packedLayout(size) : compactLayout(size);
  const bytes = new Uint8Array(0x20_0000);
  const region = new MemoryRegion(pairBase, bytes, { shared: options.shared ?? false });
  const memory = new GuestMemory([region]);
  const allocator = new DmaAllocator(memory, pairBase, bytes.length);
  const addresses = layoutAt(layout, allocator.allocate(layout.byteLength, layout.alignment).address);
  const startIndex = ringPlace(format, past, size);
  const { observer, excessUsedLength = "violation", notifyOnEmpty = false } = options;
  const features = { indirect, eventIndex, inOrder };
  const common = { index: 3, size, addresses, endianness: "little" as const, ...features, startIndex, observer };
  const dma = new GuestDma(memory, allocator);
  return {
    memory,
    view: region.view,
    addresses,
    driver: createQueueDriver<number>(format, memory, { ...common, dma, excessUsedLength }),
    device: createQueueDevice(format, memory, { ...common, notifyOnEmpty }),
    allocator,
    at: (address) => address - pairBase,
  };
}
