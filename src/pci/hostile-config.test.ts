import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RegisterWindow } from "../bytes/index.js";
import { windowOf } from "../bytes/index.js";
import { pc } from "../machine/index.js";
import { enumeratePci, MsixVectors, sizeBars, walkCapabilities } from "./index.js";

/** A PC whose configuration data comes from `answer`; writes go to `written`. */
function hostile(
  answer: (address: number, width: number) => number,
  written?: (address: number, value: number) => void,
) {
  let selected = 0;
  const ports: RegisterWindow = windowOf(
    (port, width) =>
      (port >= 0xcfc ? answer((selected & 0xffff_fffc) + (port - 0xcfc), width) : selected) % 2 ** (8 * width),
    (port, width, value) => {
      if (port === 0xcf8 && width === 4) selected = value;
      else written?.((selected & 0xfffffc) + (port - 0xcfc), value);
    },
  );
  return { memorySpace: ports, portSpace: ports };
}

test("a bus on which every function answers with anything is enumerated to its end", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0xffff_ffff), { minLength: 1, maxLength: 97 }), (values) => {
      let at = 0;
      let accesses = 0;
      const spaces = hostile(() => {
        accesses++;
        return values[at++ % values.length];
      });
      const found = enumeratePci(spaces, pc.bridges);
      assert.ok(found.length <= 65536 && accesses < 20_000_000);
      for (const handle of found.slice(0, 16)) {
        for (const bar of handle.bars) assert.ok(bar.size >= 4 && Number.isInteger(Math.log2(bar.size)));
        MsixVectors.open(handle);
        handle.bar(0);
      }
    }),
    { numRuns: 20 },
  );
});

test("configuration space that is memory to the last byte is enumerated and left as it was", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 256, maxLength: 256 }), (start) => {
      const config = start.slice();
      config[0] = 1; // present
      config[0x0e] &= 0x01;
      const before = config.slice();
      const view = new DataView(config.buffer);
      const access = {
        read: (_address: number, offset: number, width: 1 | 2 | 4) =>
          width === 1
            ? view.getUint8(offset)
            : width === 2
              ? view.getUint16(offset, true)
              : view.getUint32(offset, true),
        write: (_address: number, offset: number, width: 1 | 2 | 4, value: number) => {
          for (let index = 0; index < width; index++) config[offset + index] = value >>> (8 * index);
        },
      };
      const { bars } = sizeBars(access, 0, 6);
      // All bits stick: the smallest BAR that its flags allow, never a nonsense size.
      for (const bar of bars) assert.ok(bar.size >= 4 && bar.size <= 16);
      assert.deepEqual(config, before);
    }),
  );
});

test("nobody anywhere: a bus of all ones is empty", () => {
  assert.deepEqual(
    enumeratePci(
      hostile(() => 0xffff_ffff),
      pc.bridges,
    ),
    [],
  );
});

test("PCI-to-PCI bridges that name each other as secondary bus are visited once", () => {
  const spaces = hostile((address) => {
    const bus = (address >>> 16) & 0xff;
    if (((address >>> 8) & 0xff) !== 0) return 0xffff_ffff;
    const offset = address & 0xff;
    if (offset === 0) return 0x1111_2222;
    if (offset === 0x0e) return 1;
    if (offset === 0x19) return bus === 0 ? 1 : bus === 1 ? 2 : 0;
    return 0;
  });
  assert.deepEqual(
    enumeratePci(spaces, pc.bridges).map((handle) => handle.place),
    ["00:00.0", "01:00.0", "02:00.0"],
  );
});

test("capability lists: loops, pointers into the header and silence end the walk with a reason", () => {
  const walk = (bytes: Record<number, number>) =>
    walkCapabilities((offset, width) => {
      let value = 0;
      for (let index = 0; index < width; index++) value += (bytes[offset + index] ?? 0) * 2 ** (8 * index);
      return value;
    });
  assert.deepEqual(walk({}), { capabilities: [], problem: undefined });
  assert.deepEqual(walk({ 6: 0x10 }), { capabilities: [], problem: undefined });
  const loop = walk({ 6: 0x10, 52: 0x40, 64: 9, 65: 0x50, 80: 5, 81: 0x43 });
  assert.deepEqual(loop.capabilities, [
    { id: 9, offset: 0x40 },
    { id: 5, offset: 0x50 },
  ]);
  assert.match(loop.problem ?? "", /loops at 0x40/);
  assert.match(walk({ 6: 0x10, 52: 0x10 }).problem ?? "", /in the header/);
  assert.match(walk({ 6: 0x10, 52: 0x40, 64: 0xff, 65: 0xff }).problem ?? "", /no answer/);
});

test("BAR sizes of nothing, of holes and of reserved types are named and left out", () => {
  const size = (registers: readonly { value: number; mask: number }[]) => {
    const held = registers.map((register) => register.value);
    return sizeBars(
      {
        read: (_address, offset) => (offset < 0x10 ? 0 : held[(offset - 0x10) / 4]),
        write: (_address, offset, _width, value) => {
          const index = (offset - 0x10) / 4;
          if (index < 0) return;
          held[index] = value === 0xffff_ffff ? registers[index].mask : registers[index].value;
        },
      },
      0,
      registers.length,
    );
  };
  assert.deepEqual(size([{ value: 0, mask: 0 }]), { bars: [], problems: [] });
  assert.match(size([{ value: 0, mask: 0xf0f0_f000 }]).problems[0], /power of two/);
  assert.match(size([{ value: 6, mask: 0xffff_f006 }]).problems[0], /reserved/);
  assert.match(size([{ value: 4, mask: 0xffff_f004 }]).problems[0], /second register/);
  assert.match(
    size([
      { value: 4, mask: 0xffff_f004 },
      { value: 0, mask: 0 },
    ]).problems[0],
    /power of two/,
  );
  assert.equal(size([{ value: 1, mask: 0x0000_ffe1 }]).bars[0].size, 32, "a 16-bit I/O decoder");
  assert.equal(
    size([
      { value: 4, mask: 4 },
      { value: 0, mask: 0xffff_fffe },
    ]).bars[0].size,
    2 ** 33,
  );
});
