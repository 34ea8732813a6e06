/** Both halves of one split ring in plain memory, with room for buffers behind it. */
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../memory/index.js";
import {
  ChainPieces,
  compactLayout,
  layoutAt,
  legacyLayout,
  type QueueOptions,
  type RingAddresses,
  SplitDevice,
  SplitDriver,
} from "../virtqueue/index.js";

/** Where the memory of a pair starts. */
export const pairBase = 0x4000;
/** Where its buffers are: far behind the ring, 64 KiB and more. */
export const pairData = pairBase + 0x16_0000;

/** The two halves, and views of what lies between them. */
export interface SplitPair {
  readonly memory: GuestMemory;
  readonly view: DataView;
  readonly little: boolean;
  readonly addresses: RingAddresses;
  readonly driver: SplitDriver<number>;
  readonly device: SplitDevice;
  readonly allocator: DmaAllocator;
  /** Byte offset of an address in `view`. */
  at(address: number): number;
}

/** Queue options with defaults: 8 entries, little-endian, no features, from 0. */
export type SplitPairOptions = Partial<QueueOptions> & {
  notifyOnEmpty?: boolean;
  shared?: boolean;
  excessUsedLength?: "cut" | "violation";
};

/** Makes a ring and its halves. @throws RangeError for a size that cannot be. */
export function makeSplitPair(options: SplitPairOptions = {}): SplitPair {
  const { size = 8, endianness = "little", indirect = false, eventIndex = false, startIndex = 0 } = options;
  const layout = endianness === "big" ? legacyLayout(size) : compactLayout(size);
  const bytes = new Uint8Array(0x20_0000);
  const region = new MemoryRegion(pairBase, bytes, { shared: options.shared ?? false });
  const memory = new GuestMemory([region]);
  const allocator = new DmaAllocator(memory, pairBase, bytes.length);
  const addresses = layoutAt(layout, allocator.allocate(layout.byteLength, layout.alignment).address);
  const common = { index: 3, size, addresses, endianness, indirect, eventIndex, startIndex };
  const { excessUsedLength = "violation", notifyOnEmpty = false } = options;
  const driver = new SplitDriver<number>(memory, { ...common, dma: new GuestDma(memory, allocator), excessUsedLength });
  const device = new SplitDevice(memory, { ...common, notifyOnEmpty });
  const little = endianness === "little";
  return {
    memory,
    view: region.view,
    little,
    addresses,
    driver,
    device,
    allocator,
    at: (address) => address - pairBase,
  };
}

/** Pieces by address and length: those that the device reads, then those it writes. */
export function chainOf(
  readable: readonly [number, number][],
  writable: readonly [number, number][] = [],
): ChainPieces {
  const pieces = new ChainPieces();
  for (const [address, length] of readable) pieces.addReadable(address, length);
  for (const [address, length] of writable) pieces.addWritable(address, length);
  return pieces;
}
