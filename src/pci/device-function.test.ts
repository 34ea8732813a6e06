import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { windowOf } from "../bytes/index.js";
import {
  commandBits,
  configRegisters,
  emptyWindow,
  type PciBarOptions,
  type PciCapability,
  PciDeviceFunction,
  type PciDeviceOptions,
  sizeBars,
  statusBits,
  walkCapabilities,
} from "./index.js";

const identity = { vendorId: 0x1af4, deviceId: 0x1004, revision: 3, classCode: 0x010000, interruptPin: 1 };

function make(options: Partial<PciDeviceOptions> = {}): PciDeviceFunction {
  return new PciDeviceFunction({ ...identity, ...options });
}

const accessTo = (fn: PciDeviceFunction) => ({
  read: (_address: number, offset: number, width: 1 | 2 | 4) => fn.readConfig(offset, width),
  write: (_address: number, offset: number, width: 1 | 2 | 4, value: number) => fn.writeConfig(offset, width, value),
});

const barKinds = fc.oneof(
  fc.record({ kind: fc.constant("io" as const), size: fc.integer({ min: 2, max: 30 }) }),
  fc.record({
    kind: fc.constant("memory32" as const),
    size: fc.integer({ min: 4, max: 31 }),
    prefetchable: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("memory64" as const),
    size: fc.integer({ min: 4, max: 50 }),
    prefetchable: fc.boolean(),
  }),
);

/** Any set of BARs that fits into six registers. */
const barSets = fc.array(fc.option(barKinds, { nil: undefined }), { maxLength: 6 }).map((wanted) => {
  const bars: (PciBarOptions | undefined)[] = [];
  for (const bar of wanted) {
    if (bars.length >= (bar?.kind === "memory64" ? 5 : 6)) break;
    bars.push(bar && { ...bar, size: 2 ** bar.size, window: emptyWindow });
    if (bar?.kind === "memory64") bars.push(undefined);
  }
  return bars;
});

test("PCI 3.0 §6.2.5.1: sizing finds every BAR as declared and leaves it as it was", () => {
  fc.assert(
    fc.property(barSets, fc.nat(0xffff_ffff), fc.nat(7), (bars, address, command) => {
      const fn = make({ bars });
      for (let index = 0; index < 6; index++) fn.writeConfig(0x10 + 4 * index, 4, address);
      fn.writeConfig(configRegisters.command.offset, 2, command);
      const before = Array.from({ length: 64 }, (_, index) => fn.readConfig(4 * index, 4));
      const { bars: found, problems } = sizeBars(accessTo(fn), 0, 6);
      assert.deepEqual(problems, []);
      assert.deepEqual(
        found.map(({ index, space, wide, size, prefetchable }) => ({ index, space, wide, size, prefetchable })),
        [...bars.entries()]
          .filter((entry): entry is [number, PciBarOptions] => entry[1] !== undefined)
          .map(([index, bar]) => ({
            ...{ index, space: bar.kind === "io" ? "io" : "memory", wide: bar.kind === "memory64", size: bar.size },
            prefetchable: bar.prefetchable ?? false,
          })),
      );
      assert.deepEqual(
        before,
        Array.from({ length: 64 }, (_, index) => fn.readConfig(4 * index, 4)),
      );
    }),
  );
});

test("PCI 3.0 §6.2.1: no sequence of writes changes what is read-only", () => {
  const writes = fc.array(fc.tuple(fc.nat(63), fc.constantFrom(1, 2, 4), fc.nat(3), fc.nat(0xffff_ffff)), {
    maxLength: 40,
  });
  fc.assert(
    fc.property(writes, (list) => {
      const capability = {
        bytes: Uint8Array.from([9, 0, 0x10, 1, 0xaa, 0xbb]),
        writable: Uint8Array.from([0, 0, 0, 0, 0xf0, 0]),
      };
      const bars: PciBarOptions[] = [{ kind: "io", size: 64, window: emptyWindow }];
      const fn = make({ bars, capabilities: [capability] });
      for (const [dword, width, within, value] of list) {
        fn.writeConfig(4 * dword + (within & (4 - width)), width as 1 | 2 | 4, value);
      }
      assert.equal(fn.readConfig(0x00, 4), 0x10041af4);
      assert.equal(fn.readConfig(0x08, 4), 0x01000003);
      assert.equal(fn.readConfig(0x0e, 1), 0);
      assert.equal(fn.readConfig(0x10, 4) & 0x3f, 1);
      assert.equal(fn.readConfig(0x34, 1), 0x40);
      assert.equal(fn.readConfig(0x3d, 1), 1);
      assert.equal(fn.readConfig(0x06, 2), statusBits.capabilityList);
      assert.equal(fn.readConfig(0x40, 4), 0x01100009);
      assert.equal(fn.readConfig(0x44, 2) & 0xff0f, 0xbb0a);
    }),
  );
});

test("a BAR decodes only with its command bit and an address that somebody gave it", () => {
  let mappings = 0;
  const fn = make({
    bars: [
      { kind: "io", size: 64, window: emptyWindow },
      undefined,
      { kind: "memory32", size: 4096, window: emptyWindow },
    ],
  });
  fn.attach({ interruptChanged: () => {}, mappingChanged: () => mappings++, sendMessage: () => {} });
  assert.equal(fn.command, 0, "command bits are off at start");
  fn.writeConfig(4, 2, commandBits.io | commandBits.memory);
  assert.deepEqual(
    fn.bars.map((bar) => bar.decoding),
    [false, false],
  );
  fn.writeConfig(0x10, 4, 0x1000);
  fn.writeConfig(0x18, 4, 0x8000_0123);
  assert.deepEqual(
    fn.bars.map((bar) => [bar.decoding, bar.base]),
    [
      [true, 0x1000],
      [true, 0x8000_0000],
    ],
  );
  fn.writeConfig(4, 2, commandBits.memory);
  assert.deepEqual(
    fn.bars.map((bar) => bar.decoding),
    [false, true],
  );
  fn.writeConfig(0x18, 4, 0xffff_ffff);
  assert.equal(fn.bars[1].decoding, false, "the sizing value is no address");
  assert.ok(mappings >= 4);
});

test("PCI 3.0 §6.2.2 and §6.2.3: interrupt status shows the level, INTx Disable keeps it from the pin", () => {
  const levels: boolean[] = [];
  const fn = make();
  fn.attach({ interruptChanged: (level) => levels.push(level), mappingChanged: () => {}, sendMessage: () => {} });
  fn.setInterruptLevel(true);
  fn.setInterruptLevel(true);
  assert.deepEqual(levels, [true]);
  assert.equal(fn.readConfig(6, 2) & statusBits.interrupt, statusBits.interrupt);
  fn.writeConfig(4, 2, commandBits.interruptDisable);
  assert.deepEqual(levels, [true, false]);
  assert.equal(fn.readConfig(6, 2) & statusBits.interrupt, statusBits.interrupt);
  fn.writeConfig(4, 2, 0);
  fn.reset();
  assert.deepEqual(levels, [true, false, true, false]);
  assert.equal(fn.readConfig(6, 2), 0);
});

test("a capability's hooks see its own offsets and the write mask holds", () => {
  const seen: string[] = [];
  const capability: PciCapability = {
    bytes: Uint8Array.from([9, 0, 8, 5, 0, 0, 0, 0]),
    writable: Uint8Array.from([0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
    at: 0x60,
    onRead: (offset, width) => {
      seen.push(`read ${offset}/${width}`);
      capability.bytes[7] = 0x77;
    },
    onWrite: (offset, width) => seen.push(`write ${offset}/${width}`),
  };
  const fn = make({ capabilities: [capability, { bytes: Uint8Array.from([1, 0, 0, 0]) }] });
  fn.writeConfig(0x64, 2, 0xbeef);
  assert.equal(fn.readConfig(0x64, 4), 0x7700beef);
  assert.deepEqual(seen, ["write 4/2", "read 4/4"]);
  const list = walkCapabilities((offset, width) => fn.readConfig(offset, width));
  assert.deepEqual(list.capabilities, [
    { id: 9, offset: 0x60 },
    { id: 1, offset: 0x40 },
  ]);
  fn.reset();
  assert.equal(fn.readConfig(0x64, 2), 0);
  assert.deepEqual(walkCapabilities((offset, width) => fn.readConfig(offset, width)).capabilities.length, 2);
});

test("what cannot be declared is refused", () => {
  const window = windowOf(
    () => 0,
    () => {},
  );
  assert.throws(() => make({ bars: [{ kind: "io", size: 3, window }] }), RangeError);
  assert.throws(() => make({ bars: [{ kind: "memory32", size: 2 ** 32, window }] }), RangeError);
  assert.throws(
    () =>
      make({
        bars: [
          { kind: "memory64", size: 64, window },
          { kind: "io", size: 4, window },
        ],
      }),
    RangeError,
  );
  const large = () => ({ bytes: new Uint8Array(128) });
  assert.throws(() => make({ capabilities: [large(), large()] }), RangeError);
  assert.throws(() => make({ capabilities: [{ bytes: new Uint8Array(4), at: 0x41 }] }), RangeError);
});
