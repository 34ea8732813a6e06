/**
 * Mapped memory that is lent to threads. A mapping that is closed gives its file back at once, but its addresses stay
 * taken as long as somebody may look at them; here that somebody is another thread's view.
 */
import { koffi } from "../../linux/index.js";
import { GuestMemory, MemoryRegion } from "../../memory/index.js";
import type { RingPlace } from "../../transport/index.js";
import type { LentMemory, LentPlace } from "./queue-thread-messages.js";

/** The lender: keeps what is lent from being unmapped. */
export class MemoryLender {
  readonly #names = new WeakMap<ArrayBufferLike, number>();
  readonly #lent = new Map<string, { readonly buffer: ArrayBufferLike; count: number }>();
  #nextName = 1;

  /** Pieces that threads may look at. */
  get size(): number {
    return this.#lent.size;
  }

  /** @param bytes mapped at `address` in this process. */
  lend(bytes: Uint8Array, address: number): LentMemory {
    let name = this.#names.get(bytes.buffer);
    if (name === undefined) {
      name = this.#nextName++;
      this.#names.set(bytes.buffer, name);
    }
    const key = `${name}:${address}:${bytes.length}`;
    const lent = this.#lent.get(key);
    if (lent === undefined) this.#lent.set(key, { buffer: bytes.buffer, count: 1 });
    else lent.count++;
    return { key, address, size: bytes.length };
  }

  lendPlace({ regions, addresses }: RingPlace): LentPlace {
    const pieces = regions
      .flatMap((region) => region.pieces)
      .map(({ memory, region }) => ({ ...this.lend(memory.bytes, memory.address), guestAddress: region.base }));
    return { pieces, addresses };
  }

  /** A thread has let go of what it was lent `count` times. */
  takeBack(key: string, count: number): void {
    const lent = this.#lent.get(key);
    if (lent === undefined) return;
    lent.count -= count;
    if (lent.count <= 0) this.#lent.delete(key);
  }
}

/** The borrower, in a thread: one view of each piece, which the garbage collector takes back. */
export class MemoryBorrower {
  readonly #views = new Map<string, { readonly buffer: WeakRef<ArrayBuffer>; count: number }>();
  readonly #gone: FinalizationRegistry<string>;

  /** @param forget called when nobody looks at a piece any more, with how often it was lent. */
  constructor(forget: (key: string, count: number) => void) {
    this.#gone = new FinalizationRegistry((key) => {
      const view = this.#views.get(key);
      if (view === undefined || view.buffer.deref() !== undefined) return;
      this.#views.delete(key);
      forget(key, view.count);
    });
  }

  bytes({ key, address, size }: LentMemory): Uint8Array {
    const known = this.#views.get(key);
    const buffer = known?.buffer.deref();
    if (known !== undefined && buffer !== undefined) {
      known.count++;
      return new Uint8Array(buffer);
    }
    const fresh: ArrayBuffer = koffi().view(BigInt(address), size);
    this.#gone.register(fresh, key);
    this.#views.set(key, { buffer: new WeakRef(fresh), count: (known?.count ?? 0) + 1 });
    return new Uint8Array(fresh);
  }

  place({ pieces, addresses }: LentPlace): RingPlace {
    const regions = pieces.map(
      (piece) =>
        new MemoryRegion(piece.guestAddress, this.bytes(piece), { shared: true, nativeAddress: piece.address }),
    );
    return { memory: new GuestMemory(regions), regions: [], addresses };
  }
}
