/**
 * DMA memory that shows wrong use of lent memory. Every shared buffer is copied, so that a forgotten `unshare` loses
 * data; what nobody may look at holds a pattern; blocks have guards around them; and memory that was given back is kept
 * aside for a while, so that a device that still writes to it is found out.
 */
import { InternalError } from "../errors/index.js";
import { blockBytes, type DmaBlock, type DmaDirection, type DmaMemory, type SharedBuffer } from "../memory/index.js";

/** What memory holds that its owner may not look at. */
export const DmaPoison = { Lent: 0xd5, Fresh: 0xf5, Freed: 0xdb, Guard: 0x6b } as const;

/** How buffers are copied, and how long memory is kept aside. */
export interface PoisoningDmaOptions {
  /**
   * Length of the next piece of a shared buffer of which `left` bytes are left; makes scattered buffers. Default: all.
   */
  pieceLength?: (left: number) => number;
  /** Blocks that are kept aside after they were given back. Default 32. */
  quarantine?: number;
}

/** Bytes of pattern before and after every block; a multiple of every alignment below a page. */
const guardSize = 64;

/** A block with guards, as it was taken from the memory below. */
interface Guarded {
  readonly outer: DmaBlock;
  readonly inner: DmaBlock;
}

/** What is known of a buffer that is lent. */
interface Loan {
  readonly pieces: readonly DmaBlock[];
  /** What a buffer for the device held when it was lent: its owner may not change it meanwhile. */
  readonly before: Uint8Array | undefined;
}

export class PoisoningDma implements DmaMemory {
  readonly #below: DmaMemory;
  readonly #pieceLength: (left: number) => number;
  readonly #quarantineLimit: number;
  readonly #blocks = new Map<number, Guarded>();
  readonly #loans = new Map<SharedBuffer, Loan>();
  readonly #quarantine: Guarded[] = [];

  /** @param below where the memory comes from. */
  constructor(below: DmaMemory, options: PoisoningDmaOptions = {}) {
    this.#below = below;
    this.#pieceLength = options.pieceLength ?? ((left) => left);
    this.#quarantineLimit = options.quarantine ?? 32;
  }

  /** Buffers that are lent now. */
  get sharedBuffers(): number {
    return this.#loans.size;
  }

  /** Blocks that are allocated now, those of lent buffers among them. */
  get allocatedBlocks(): number {
    return this.#blocks.size;
  }

  allocate(size: number, alignment = 16): DmaBlock {
    const before = Math.max(guardSize, alignment);
    const outer = this.#below.allocate(before + size + guardSize, Math.max(alignment, 16));
    const inner = { address: outer.address + before, size, region: outer.region, offset: outer.offset + before };
    const { bytes } = outer.region;
    bytes.fill(DmaPoison.Guard, inner.offset - guardSize, inner.offset);
    bytes.fill(DmaPoison.Guard, inner.offset + size, inner.offset + size + guardSize);
    this.#blocks.set(inner.address, { outer, inner });
    return inner;
  }

  /** @throws RangeError when the block is not allocated, InternalError when somebody wrote outside a block. */
  free(block: DmaBlock): void {
    const found = this.#blocks.get(block.address);
    if (found === undefined || found.inner.size !== block.size) throw new RangeError("this block is not allocated");
    this.#blocks.delete(block.address);
    checkGuards(found);
    blockBytes(found.inner).fill(DmaPoison.Freed);
    this.#quarantine.push(found);
    if (this.#quarantine.length > this.#quarantineLimit) this.#release(this.#quarantine.shift() as Guarded);
  }

  /** @throws InternalError when the buffer overlaps one that the device may write now. */
  share(bytes: Uint8Array, direction: DmaDirection): SharedBuffer {
    for (const other of this.#loans.keys()) {
      const isWritten = direction !== "to-device" || other.direction !== "to-device";
      if (isWritten && overlaps(bytes, other.bytes)) throw new InternalError("a buffer is shared while it is lent");
    }
    const pieces: DmaBlock[] = [];
    for (let at = 0; at < bytes.byteLength; ) {
      const left = bytes.byteLength - at;
      const length = Math.min(left, Math.max(1, this.#pieceLength(left)));
      // An odd place: nothing may depend on how buffers are aligned.
      const block = this.allocate(length + 3, 16);
      const target = blockBytes(block);
      target.fill(DmaPoison.Fresh);
      if (direction !== "from-device") target.set(bytes.subarray(at, at + length), 3);
      pieces.push(block);
      at += length;
    }
    const segments = pieces.map((block) => ({ address: block.address + 3, length: block.size - 3 }));
    const shared = { bytes, direction, segments };
    this.#loans.set(shared, { pieces, before: direction === "to-device" ? bytes.slice() : undefined });
    if (direction !== "to-device") bytes.fill(DmaPoison.Lent);
    return shared;
  }

  /** @throws InternalError when the buffer is not lent, or was touched while it was. */
  unshare(shared: SharedBuffer): void {
    const loan = this.#loans.get(shared);
    if (loan === undefined) throw new InternalError("a buffer is unshared that is not lent");
    this.#loans.delete(shared);
    const { bytes, direction } = shared;
    const touched = direction === "to-device" ? differs(bytes, loan.before) : bytes.some((b) => b !== DmaPoison.Lent);
    if (touched) throw new InternalError("a buffer was written by its owner while it was lent");
    let at = 0;
    for (const block of loan.pieces) {
      const source = blockBytes(block).subarray(3);
      if (direction !== "to-device") bytes.set(source, at);
      else if (differs(source, bytes.subarray(at, at + source.length))) {
        throw new InternalError("the device wrote to a buffer that it may only read");
      }
      at += source.length;
      this.free(block);
    }
  }

  /** @throws InternalError when a buffer is still lent, or memory was written by who did not own it. */
  assertNothingShared(): void {
    this.checkPoison();
    if (this.#loans.size > 0) throw new InternalError(`${this.#loans.size} buffers are still lent`);
  }

  /** @throws InternalError when a block is still allocated, besides what {@link assertNothingShared} finds. */
  assertNothingAllocated(): void {
    this.assertNothingShared();
    if (this.#blocks.size > 0) {
      const sizes = [...this.#blocks.values()].map(({ inner }) => inner.size).join(", ");
      throw new InternalError(`${this.#blocks.size} blocks are still allocated, of ${sizes} bytes`);
    }
  }

  /** Looks at every guard and at all memory that was given back. @throws InternalError when one was written. */
  checkPoison(): void {
    for (const guarded of this.#blocks.values()) checkGuards(guarded);
    for (const guarded of this.#quarantine) checkFreed(guarded);
  }

  #release(guarded: Guarded): void {
    checkFreed(guarded);
    this.#below.free(guarded.outer);
  }
}

function checkGuards({ inner }: Guarded): void {
  const { bytes } = inner.region;
  for (let index = 1; index <= guardSize; index++) {
    const before = inner.offset - index;
    const after = inner.offset + inner.size + index - 1;
    if (bytes[before] !== DmaPoison.Guard || bytes[after] !== DmaPoison.Guard) {
      throw new InternalError(`somebody wrote outside the block at 0x${inner.address.toString(16)}`);
    }
  }
}

function checkFreed(guarded: Guarded): void {
  checkGuards(guarded);
  if (blockBytes(guarded.inner).some((byte) => byte !== DmaPoison.Freed)) {
    throw new InternalError(`memory at 0x${guarded.inner.address.toString(16)} was written after it was given back`);
  }
}

function overlaps(one: Uint8Array, other: Uint8Array): boolean {
  return (
    one.buffer === other.buffer &&
    one.byteOffset < other.byteOffset + other.byteLength &&
    other.byteOffset < one.byteOffset + one.byteLength
  );
}

function differs(one: Uint8Array, other: Uint8Array | undefined): boolean {
  return other === undefined || one.length !== other.length || one.some((byte, index) => byte !== other[index]);
}
