import assert from "node:assert/strict";
import { test } from "node:test";
import { type MemoryMapper, MemoryTable } from "./memory-table.js";
import type { RegionDescription } from "./protocol.js";

class Files implements MemoryMapper {
  mapped = 0;
  open = 0;

  identify(descriptor: number): string {
    return `file ${descriptor}`;
  }

  map(_descriptor: number, _offset: number, size: number) {
    this.mapped++;
    this.open++;
    return { bytes: new Uint8Array(Math.min(size, 65536)), address: 4096, canShrink: false, close: () => this.open-- };
  }
}

const region = (values: Partial<RegionDescription> = {}): RegionDescription => ({
  guestAddress: 0x10_0000n,
  size: 0x1000n,
  userAddress: 0x7f00_0000_0000n,
  offset: 0n,
  ...values,
});

test("user addresses are turned into guest addresses inside regions only", () => {
  const files = new Files();
  const second = region({ guestAddress: 0x20_0000n, userAddress: 0x7f00_0000_2000n });
  const { table } = MemoryTable.empty.replace([region(), second], [1, 1], files);
  assert.equal(table.toGuest(0x7f00_0000_0000n), 0x10_0000);
  assert.equal(table.toGuest(0x7f00_0000_0fffn), 0x10_0fff);
  assert.equal(table.toGuest(0x7f00_0000_1000n), undefined);
  assert.equal(table.toGuest(0x7f00_0000_2004n), 0x20_0004);
  assert.equal(table.toGuest(2n ** 64n - 1n), undefined);
});

test("what is the same memory keeps its mapping, what is not is handed back", () => {
  const files = new Files();
  const { table } = MemoryTable.empty.replace([region()], [1], files);
  const same = table.replace([region()], [1], files);
  assert.equal(files.mapped, 1);
  assert.deepEqual(same.dropped, []);
  const otherFile = table.replace([region()], [2], files);
  assert.equal(files.mapped, 2);
  assert.deepEqual(otherFile.dropped, table.mappings);
});

test("a table that is refused leaves no mapping behind", () => {
  const files = new Files();
  const overlapping = region({ guestAddress: 0x10_0800n, userAddress: 0n });
  assert.throws(() => MemoryTable.empty.replace([region(), overlapping], [1, 1], files), {
    code: "memory-region-invalid",
  });
  assert.equal(files.open, 0);
});

test("regions are added and removed by their addresses and size", () => {
  const files = new Files();
  const { table } = MemoryTable.empty.add(region(), 1, files);
  assert.throws(() => table.add(region({ userAddress: 0n }), 1, files), { code: "memory-region-invalid" });
  assert.throws(() => table.remove(region({ size: 0x2000n })), { code: "memory-region-invalid" });
  const { table: rest, dropped } = table.remove(region());
  assert.equal(rest.memory, undefined);
  assert.deepEqual(dropped, table.mappings);
});

test("large regions are mapped in pieces that end at multiples of 1 GiB of guest memory", () => {
  const files = new Files();
  const sizes: number[] = [];
  const mapper: MemoryMapper = {
    identify: files.identify,
    map: (descriptor, offset, size) => {
      sizes.push(size);
      return { ...files.map(descriptor, offset, size), bytes: new Uint8Array(16) };
    },
  };
  MemoryTable.empty.add(region({ guestAddress: 0x1_2000_0000n, size: 0xa000_0000n }), 1, mapper);
  assert.deepEqual(sizes, [0x2000_0000, 0x4000_0000, 0x4000_0000]);
});
