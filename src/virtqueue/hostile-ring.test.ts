/** Each rule that a driver can break on a split ring, one by one, by hand-written bytes; and fields that change while read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endianness } from "../bytes/index.js";
import { ProtocolError, type ViolationCode } from "../errors/index.js";
import { GuestMemory, MemoryRegion } from "../memory/index.js";
import type { TraceEvent } from "../observe/index.js";
import { RestlessRegion } from "../testing/index.js";
import { layoutAt, legacyLayout, SplitDevice } from "./index.js";

const Next = 1;
const Write = 2;
const Indirect = 4;

const base = 0x1_0000;
const size = 8;
const addresses = layoutAt(legacyLayout(size), base);
const data = base + 0x4000;
const tableAt = base + 0x5000;
const end = base + 0x8000;

/** A device whose ring is written by hand. */
class HandMade {
  readonly little: boolean;
  readonly region: MemoryRegion;
  readonly device: SplitDevice;
  readonly events: TraceEvent[] = [];
  #index: number;

  constructor(
    options: { endianness?: Endianness; indirect?: boolean; startIndex?: number; region?: MemoryRegion } = {},
  ) {
    const { endianness = "little", indirect = true, startIndex = 0 } = options;
    this.little = endianness === "little";
    this.region = options.region ?? new MemoryRegion(base, new Uint8Array(0x8000));
    // A large region that is never touched: chains of 2^32 bytes need one.
    const vast = new MemoryRegion(0x1_0000_0000, new Uint8Array(2 ** 30));
    this.device = new SplitDevice(new GuestMemory([this.region, vast]), {
      ...{ index: 2, size, addresses, endianness, indirect, eventIndex: false, startIndex },
      observer: { emit: (event) => this.events.push(event) },
    });
    this.#index = startIndex;
    this.#word(addresses.available + 2, startIndex);
  }

  descriptor(index: number, address: number, length: number, flags: number, next = 0, table = addresses.descriptors) {
    const view = new DataView(this.region.bytes.buffer, this.region.bytes.byteOffset);
    const at = table - base + 16 * index;
    view.setBigUint64(at, BigInt(address), this.little);
    view.setUint32(at + 8, length, this.little);
    view.setUint16(at + 12, flags, this.little);
    view.setUint16(at + 14, next, this.little);
    return this;
  }

  available(...heads: number[]) {
    for (const head of heads) {
      this.#word(addresses.available + 4 + 2 * (this.#index % size), head);
      this.#index = (this.#index + 1) & 0xffff;
    }
    this.#word(addresses.available + 2, this.#index);
    return this;
  }

  moveIndex(by: number) {
    this.#index = (this.#index + by) & 0xffff;
    this.#word(addresses.available + 2, this.#index);
    return this;
  }

  /** Pops until the violation comes; checks what a broken queue does. */
  breaks(code: ViolationCode, head?: number): void {
    let error: unknown;
    try {
      for (let count = 0; count < 100; count++) if (this.device.pop() === undefined) break;
    } catch (thrown) {
      error = thrown;
    }
    assert.ok(error instanceof ProtocolError, `nothing was thrown, expected ${code}`);
    assert.equal(error.code, code);
    assert.equal(error.queue, 2);
    assert.equal(error.head, head);
    assert.match(error.message, /queue 2.*\[virtio 1\.2 §/);
    assert.equal(this.device.broken, code);
    assert.equal(this.device.pop(), undefined, "thrown once, then silent");
    assert.equal(this.device.enableNotifications(), true, "a broken queue is not polled for ever");
    assert.deepEqual(
      this.events.filter(({ category }) => category === "violation").map(({ name }) => name),
      [code],
    );
  }

  #word(address: number, value: number): void {
    new DataView(this.region.bytes.buffer, this.region.bytes.byteOffset).setUint16(address - base, value, this.little);
  }
}

for (const endianness of ["little", "big"] as const) {
  for (const startIndex of [0, 65_534]) {
    const named = (rule: string) => `${rule} (${endianness}, from ${startIndex})`;
    const make = (indirect = true) => new HandMade({ endianness, startIndex, indirect });

    test(named("§2.7.6 avail-index-jump: more entries than the queue has"), () => {
      make()
        .moveIndex(size + 1)
        .breaks("avail-index-jump");
      make().moveIndex(-1).breaks("avail-index-jump");
      make().moveIndex(0x8000).breaks("avail-index-jump");
    });

    test(named("§2.7.6 head-out-of-range"), () => {
      make().available(size).breaks("head-out-of-range", size);
      make().available(0xffff).breaks("head-out-of-range", 0xffff);
    });

    test(named("§2.7.13 head-in-flight: the same chain again before it was used"), () => {
      const ring = make().descriptor(3, data, 4, 0).available(3, 3);
      ring.breaks("head-in-flight", 3);
    });

    test(named("§2.7.5 next-out-of-range"), () => {
      make().descriptor(0, data, 4, Next, size).available(0).breaks("next-out-of-range", 0);
      make()
        .descriptor(0, tableAt, 32, Indirect)
        .descriptor(0, data, 4, Next, 2, tableAt)
        .available(0)
        .breaks("next-out-of-range", 0);
    });

    test(named("§2.7.5.2 chain-too-long: loops of every length, direct and in a table"), () => {
      for (let length = 1; length <= size; length++) {
        const ring = make();
        for (let at = 0; at < length; at++) ring.descriptor(at, data, 4, Next, (at + 1) % length);
        ring.available(0).breaks("chain-too-long", 0);
      }
      make()
        .descriptor(1, tableAt, 16, Indirect)
        .descriptor(0, data, 4, Next, 0, tableAt)
        .available(1)
        .breaks("chain-too-long", 1);
    });

    test(named("§2.7.5.2, R-507, A-07 chain-too-large: 2^32 bytes are refused, one less is taken"), () => {
      const vast = 0x1_0000_0000;
      const fill = (last: number, flags: number) => {
        const ring = make();
        for (let at = 0; at < 4; at++) ring.descriptor(at, vast, 2 ** 30, flags | Next, at + 1);
        return ring
          .descriptor(3, vast, 2 ** 30 - 1, flags | Next, 4)
          .descriptor(4, vast, last, flags)
          .available(0);
      };
      fill(1, 0).breaks("chain-too-large", 0);
      fill(1, Write).breaks("chain-too-large", 0);
      const ring = make();
      for (let at = 0; at < 3; at++) ring.descriptor(at, vast, 2 ** 30, Write | Next, at + 1);
      ring.descriptor(3, vast, 2 ** 30 - 1, Write).available(0);
      assert.equal(ring.device.pop()?.writable.byteLength, 2 ** 32 - 1);
    });

    test(named("§2.7.5 descriptor-empty"), () => {
      make().descriptor(0, data, 0, 0).available(0).breaks("descriptor-empty", 0);
      make().descriptor(0, data, 4, Next, 1).descriptor(1, data, 0, Write).available(0).breaks("descriptor-empty", 0);
    });

    test(named("§2.7.4.2, R-510 readable-after-writable"), () => {
      make()
        .descriptor(0, data, 4, Write | Next, 1)
        .descriptor(1, data, 4, 0)
        .available(0)
        .breaks("readable-after-writable", 0);
    });

    test(named("§2.7.5 address-outside-memory: before, after, across the end, beyond 2^53"), () => {
      for (const [address, length] of [
        [0, 4],
        [base - 1, 1],
        [base - 4, 8],
        [end, 1],
        [end - 4, 5],
        [0xffff_ffff, 1],
        [2 ** 53, 4],
        [2 ** 63, 4],
        [0x1_4000_0000, 1],
      ]) {
        make().descriptor(0, address, length, 0).available(0).breaks("address-outside-memory", 0);
        make().descriptor(0, address, length, Write).available(0).breaks("address-outside-memory", 0);
      }
      const last = make()
        .descriptor(0, end - 4, 4, 0)
        .available(0);
      assert.equal(last.device.pop()?.readable.byteLength, 4);
    });

    test(named("§2.7.5.3.1, R-208 indirect-not-negotiated"), () => {
      make(false).descriptor(0, tableAt, 16, Indirect).available(0).breaks("indirect-not-negotiated", 0);
    });

    test(named("§2.7.5.3.1, R-509 indirect-nested"), () => {
      make()
        .descriptor(0, tableAt, 16, Indirect)
        .descriptor(0, tableAt, 16, Indirect, 0, tableAt)
        .available(0)
        .breaks("indirect-nested", 0);
    });

    test(named("§2.7.5.3.1, R-509 indirect-with-next"), () => {
      make()
        .descriptor(0, tableAt, 16, Indirect | Next, 1)
        .available(0)
        .breaks("indirect-with-next", 0);
    });

    test(named("§2.7.5.3.2, R-509 indirect-length: 0, or no multiple of 16"), () => {
      for (const length of [0, 1, 15, 17, 0xffff_ffff]) {
        make().descriptor(0, tableAt, length, Indirect).available(0).breaks("indirect-length", 0);
      }
    });

    test(named("§2.7.5.3 indirect-outside-memory"), () => {
      for (const [address, length] of [
        [0, 16],
        [end, 16],
        [end - 16, 32],
        [base - 16, 32],
        [2 ** 60, 16],
        [tableAt, 0xffff_fff0],
      ]) {
        make().descriptor(0, address, length, Indirect).available(0).breaks("indirect-outside-memory", 0);
      }
    });

    test(
      named(
        "R-509: what looks odd and is allowed: WRITE beside INDIRECT, tables longer than the queue, direct then indirect",
      ),
      () => {
        const written = make()
          .descriptor(0, tableAt, 16, Indirect | Write)
          .descriptor(0, data, 4, 0, 0, tableAt);
        assert.equal(written.available(0).device.pop()?.readable.byteLength, 4);
        const long = make().descriptor(0, tableAt, 16 * 20, Indirect);
        for (let at = 0; at < 20; at++) long.descriptor(at, data, 1, at < 19 ? Next : 0, at + 1, tableAt);
        assert.equal(long.available(0).device.pop()?.readable.byteLength, 20);
        const mixed = make().descriptor(0, data, 2, Next, 1).descriptor(1, tableAt, 16, Indirect);
        mixed.descriptor(0, data, 3, Write, 0, tableAt).available(0);
        const got = mixed.device.pop();
        assert.deepEqual([got?.readable.byteLength, got?.writable.byteLength], [2, 3]);
        const odd = make()
          .descriptor(0, tableAt + 2, 16, Indirect)
          .descriptor(0, data, 5, 0, 0, tableAt + 2);
        assert.equal(odd.available(0).device.pop()?.readable.byteLength, 5, "a table at any address");
      },
    );
  }
}

test("read once: each field of a chain is read at most once, in any of the tables", () => {
  const region = new RestlessRegion(base, new Uint8Array(0x8000));
  const ring = new HandMade({ region });
  ring.descriptor(4, data, 16, Next, 2).descriptor(2, tableAt, 48, Indirect);
  ring.descriptor(0, data, 8, Next, 1, tableAt).descriptor(1, data, 8, Write | Next, 2, tableAt);
  ring.descriptor(2, data, 4, Write, 0, tableAt).available(4);
  const reads = new Map<number, number>();
  region.onRead = (offset, width) => {
    for (let byte = 0; byte < width; byte++) reads.set(offset + byte, (reads.get(offset + byte) ?? 0) + 1);
  };
  const got = ring.device.pop();
  region.onRead = undefined;
  assert.deepEqual([got?.readable.byteLength, got?.writable.byteLength], [24, 12]);
  assert.ok(reads.size >= 5 * 14, "the reads were seen");
  for (const [offset, count] of reads) assert.equal(count, 1, `byte 0x${offset.toString(16)} was read ${count} times`);
});

test("read once: a chain whose every field changes right after it was read is the chain that was read", () => {
  const region = new RestlessRegion(base, new Uint8Array(0x8000));
  const ring = new HandMade({ region });
  ring
    .descriptor(0, data, 16, Next, 1)
    .descriptor(1, data + 32, 8, Write)
    .available(0);
  region.onRead = (offset, width) => region.bytes.fill(0xee, offset, offset + width);
  const got = ring.device.pop();
  region.onRead = undefined;
  assert.ok(got !== undefined);
  assert.deepEqual([got.readable.byteLength, got.writable.byteLength], [16, 8]);
  assert.deepEqual([got.readable.offsets[0], got.writable.offsets[0]], [data - base, data + 32 - base]);
});

test("an available index that goes back after it was seen is named, and nobody polls for ever", () => {
  const ring = new HandMade({ startIndex: 65_535 }).descriptor(0, data, 4, 0).available(0);
  assert.equal(ring.device.enableNotifications(), false);
  ring.moveIndex(-1).breaks("avail-index-jump");
});

test("a driver cannot have more chains under way than it has descriptors: work between two publishes is bounded", () => {
  const ring = new HandMade({ startIndex: 65_530 });
  for (let at = 0; at < size; at++) ring.descriptor(at, data, 4, 0);
  for (let at = 0; at < size; at++) {
    ring.available(at);
    const chain = ring.device.pop();
    assert.ok(chain !== undefined);
    ring.device.push(chain, 0);
  }
  ring.available(0).breaks("avail-index-jump");
});

test("a used ring that lies on the available ring ends in a violation, not in a loop", () => {
  const region = new MemoryRegion(base, new Uint8Array(0x8000));
  const available = base + 0x1000;
  for (const used of [available, available + 4, available - 4, available + 20]) {
    for (const eventIndex of [false, true]) {
      region.bytes.fill(0);
      const device = new SplitDevice(new GuestMemory([region]), {
        ...{ index: 0, size: 4, endianness: "little" as const, indirect: false, eventIndex },
        addresses: { descriptors: base, available, used },
      });
      const view = new DataView(region.bytes.buffer);
      view.setUint16(0x1002, 1, true);
      view.setBigUint64(0, BigInt(data), true);
      view.setUint32(8, 4, true);
      let passes = 0;
      try {
        do {
          assert.ok(passes++ < 100, "it goes round for ever");
          device.disableNotifications();
          for (let chain = device.pop(); chain !== undefined; chain = device.pop()) device.push(chain, 0);
        } while (!device.enableNotifications());
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
      }
    }
  }
});
