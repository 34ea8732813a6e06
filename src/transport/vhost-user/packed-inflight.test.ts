/** The record of requests in flight on packed rings: a server that ends after any store it makes loses and repeats nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../../memory/index.js";
import { type SeededRandom, seededRandom } from "../../testing/seeded-random.js";
import { type Chain, ChainPieces, layoutAt, PackedDriver, packedLayout, packedPlace } from "../../virtqueue/index.js";
import { featureSet, ringFeatures } from "../features.js";
import { openRing } from "./open-ring.js";
import { PackedInflightRecord, packedInflightRegionSize } from "./packed-inflight.js";
import type { RingSetup } from "./queue-runner.js";

const base = 0x1_0000;
const size = 7;

/** The server was killed. */
class Killed extends Error {}

/** Memory of a server that is killed when it has made so many stores. */
class MortalRegion extends MemoryRegion {
  override readonly words32: Uint32Array;
  static left = Number.POSITIVE_INFINITY;

  constructor(start: number, bytes: Uint8Array) {
    super(start, bytes);
    this.words32 = new Proxy(new Uint32Array(bytes.buffer), {
      get: (target, key) => Reflect.get(target, key, target),
      set: (target, key, value) => {
        MortalRegion.store();
        return Reflect.set(target, key, value, target);
      },
    });
  }

  static store(): void {
    if (MortalRegion.left-- <= 0) throw new Killed();
  }
}

/** Has every store through a `DataView` count while `work` runs. */
function mortally(stores: number, work: () => void): boolean {
  const { setUint8, setUint16, setUint32 } = DataView.prototype;
  const counted = <Set extends (...values: never[]) => void>(set: Set): Set =>
    function (this: DataView, ...values: Parameters<Set>) {
      MortalRegion.store();
      set.apply(this, values);
    } as unknown as Set;
  MortalRegion.left = stores;
  DataView.prototype.setUint8 = counted(setUint8);
  DataView.prototype.setUint16 = counted(setUint16);
  DataView.prototype.setUint32 = counted(setUint32);
  try {
    work();
    return false;
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
    return true;
  } finally {
    Object.assign(DataView.prototype, { setUint8, setUint16, setUint32 });
    MortalRegion.left = Number.POSITIVE_INFINITY;
  }
}

/** A driver that lives on, and servers that come and go. */
class Scene {
  readonly driver: PackedDriver<number>;
  readonly setup: RingSetup;
  readonly random: SeededRandom;
  readonly pending = new Set<number>();
  readonly #pieces = new ChainPieces();
  next = 0;
  served = 0;

  constructor(seed: number, indirect: boolean) {
    this.random = seededRandom(seed);
    const bytes = new Uint8Array(0x8000);
    const memory = new GuestMemory([new MemoryRegion(base, bytes)]);
    const addresses = layoutAt(packedLayout(size), base);
    const startIndex = packedPlace(this.random.below(2 * size), size);
    this.driver = new PackedDriver<number>(memory, {
      ...{ index: 0, size, addresses, endianness: "little", indirect, eventIndex: true, startIndex },
      dma: new GuestDma(memory, new DmaAllocator(memory, base + 0x1000, 0x2000)),
    });
    const { INDIRECT_DESC, EVENT_IDX, RING_PACKED, VERSION_1 } = ringFeatures;
    this.setup = {
      ...{ index: 0, size, addresses, endianness: "little", kick: undefined, call: undefined, regions: [] },
      memory: new GuestMemory([new MortalRegion(base, bytes)]),
      features: featureSet(EVENT_IDX, RING_PACKED, VERSION_1, ...(indirect ? [INDIRECT_DESC] : [])),
      base: (startIndex | (startIndex << 16)) >>> 0,
      inflight: { bytes: new Uint8Array(packedInflightRegionSize(size)), address: 0 },
    };
  }

  /** Adds requests: each writes its number's answer into a buffer of its own length. */
  add(): void {
    for (let count = this.random.below(4); count > 0; count--) {
      this.#pieces.clear();
      const pieces = 1 + this.random.below(3);
      // The length says who it is.
      for (let piece = 1; piece < pieces; piece++) this.#pieces.addReadable(base + 0x4000 + piece, piece);
      this.#pieces.addWritable(base + 0x4000, 1 + this.next);
      if (!this.driver.add(this.#pieces, this.next)) break;
      this.pending.add(this.next++);
    }
    this.driver.publish();
  }

  reap(): void {
    for (let cookie = this.driver.reap(); cookie !== undefined; cookie = this.driver.reap()) {
      assert.ok(this.pending.delete(cookie), `request ${cookie} came back twice`);
      assert.equal(this.driver.usedLength, 1 + cookie, "another request's answer");
    }
  }

  /** One server's life. @returns whether it was killed. */
  live(stores: number): boolean {
    return mortally(stores, () => {
      const ring = openRing(this.setup);
      const held: Chain[] = [];
      for (let step = 0; step < 12; step++) {
        MortalRegion.left += 1e6;
        this.reap();
        this.add();
        MortalRegion.left -= 1e6;
        for (let chain = ring.pop(); chain !== undefined; chain = ring.pop()) held.push(chain);
        const keep = step === 11 ? 0 : this.random.below(3);
        while (held.length > keep) {
          const [chain] = held.splice(this.random.below(held.length), 1);
          ring.push(chain, chain.writable.byteLength);
          this.served++;
        }
        if (this.random.chance(0.7)) ring.publish();
      }
      ring.publish();
    });
  }
}

for (const indirect of [false, true]) {
  test(`a server that is killed at any store of its life: every request comes back once (${indirect ? "indirect" : "direct"})`, () => {
    for (let seed = 1; seed <= 12; seed++) {
      const scene = new Scene(seed, indirect);
      let killed = 0;
      for (let stores = 0; stores < 220; stores++) if (scene.live(stores)) killed++;
      assert.equal(scene.live(1e6), false);
      scene.reap();
      assert.equal(scene.pending.size, 0, "nothing is lost");
      assert.ok(killed > 100, `${killed} were killed`);
      assert.ok(scene.next > 500, `${scene.next} requests`);
    }
  });
}

test("regions of packed queues lie at multiples of 64 bytes, 32 bytes a descriptor after 32 of header", () => {
  assert.deepEqual([1, 3, 4, 128, 256].map(packedInflightRegionSize), [64, 128, 192, 4160, 8256]);
});

test("any contents of a record give chains that fit into the ring, each descriptor once", () => {
  const random = seededRandom(5);
  for (let round = 0; round < 2000; round++) {
    const bytes = Uint8Array.from({ length: packedInflightRegionSize(size) }, () =>
      random.below(random.chance(0.5) ? 8 : 256),
    );
    const view = new DataView(bytes.buffer);
    view.setUint16(8, 1, true);
    view.setUint16(10, size, true);
    const { used, chains } = new PackedInflightRecord(bytes, size).recover(() => random.below(0x10000));
    assert.ok((used & 0x7fff) < size);
    const total = chains.reduce((sum, chain) => sum + chain.length, 0);
    assert.ok(total <= size && chains.every((chain) => chain.length > 0));
  }
});
