/** AUTOCONFIG on a bus with several boards. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type RegisterWindow, windowOf } from "../bytes/index.js";
import {
  busNibble,
  configureZorro,
  identityBytes,
  partnerOffset,
  readIdentity,
  sizeOf,
  type ZorroBoard,
  ZorroBus,
  type ZorroIdentity,
  type ZorroSlot,
  zorroConfigArea,
} from "./index.js";

/** A board of memory that tells its number. */
class PlainBoard implements ZorroBoard {
  readonly name: string;
  readonly size: number;
  readonly window: RegisterWindow;
  readonly #identity: Uint8Array;
  slot: ZorroSlot | undefined;
  resets = 0;

  constructor(identity: ZorroIdentity, mark: number) {
    this.name = `board ${mark}`;
    this.size = sizeOf(identity);
    this.#identity = identityBytes(identity);
    this.window = windowOf(
      (_offset, width) => mark * (width === 4 ? 0x0101_0101 : width === 2 ? 0x0101 : 1),
      () => {},
    );
  }

  readConfig(offset: number): number {
    const index = (offset & 0xff) >> 2;
    if (index >= this.#identity.length) return 0xff;
    return (busNibble(this.#identity[index], index, offset < 0x100 ? "high" : "low") << 4) | 0x0f;
  }

  plugged(slot: ZorroSlot): void {
    this.slot = slot;
  }

  reset(): void {
    this.resets++;
  }
}

function identity(size: number, product = 1): ZorroIdentity {
  return { type: 0x80 | size, product, flags: 0x30, manufacturer: 0x1234, serial: 0xdeadbeef, diagnosticVector: 0 };
}

test("boards of several sizes are found in their order and answer where they were put", () => {
  const bus = new ZorroBus();
  for (const [index, size] of [0, 2, 0].entries()) bus.plug(new PlainBoard(identity(size, index + 1), index + 1));
  const found = configureZorro(bus.space);
  assert.deepEqual(
    found.map(({ product, base, size }) => [product, base, size]),
    [
      [1, 0x4000_0000, 1 << 24],
      [2, 0x4400_0000, 1 << 26],
      [3, 0x4800_0000, 1 << 24],
    ],
  );
  assert.equal(found[0].serial, 0xdeadbeef);
  assert.equal(bus.space.read8(0x40ff_ffff), 1);
  assert.equal(bus.space.read32(0x4400_0000), 0x0202_0202);
  assert.equal(bus.space.read8(0x4100_0000), 0xff, "nobody");
  assert.equal(bus.space.read8(zorroConfigArea.zorro3), 0xff, "nobody is left to configure");
});

test("both configuration areas show the same board, with the partner nibble at +100h and at +2", () => {
  const bus = new ZorroBus();
  bus.plug(new PlainBoard(identity(0), 1));
  const { zorro2, zorro3 } = zorroConfigArea;
  assert.deepEqual(readIdentity(bus.space, zorro3, partnerOffset.zorro3), identity(0));
  assert.deepEqual(readIdentity(bus.space, zorro2, partnerOffset.zorro2), identity(0));
});

test("a board that is shut up lets the next one be configured", () => {
  const bus = new ZorroBus();
  for (const mark of [1, 2]) bus.plug(new PlainBoard(identity(0, mark), mark));
  const found = configureZorro(bus.space, { shutUp: ({ product }) => product === 1 });
  assert.deepEqual(
    found.map(({ base }) => base),
    [undefined, 0x4000_0000],
  );
  assert.equal(bus.space.read8(0x4000_0000), 2);
});

test("a base that is not legal, or taken, is refused", () => {
  const bus = new ZorroBus();
  for (const mark of [1, 2]) bus.plug(new PlainBoard(identity(0, mark), mark));
  const base = zorroConfigArea.zorro3 + 0x44;
  for (const high of [0x00, 0x0f, 0xf0, 0xff]) {
    bus.space.write8(base, high);
    assert.equal(bus.configured.length, 0);
  }
  bus.space.write32(base, 0x1000_0000);
  bus.space.write16(base, 0x1000);
  assert.deepEqual(
    bus.configured.map((place) => place.base),
    [0x1000_0000],
  );
  bus.space.write16(zorroConfigArea.zorro2 + 0x44, 0xef00);
  assert.deepEqual(
    bus.configured.map((place) => place.base),
    [0x1000_0000, 0xef00_0000],
  );
});

test("every legal base works", () => {
  for (let high = 0x10; high < 0xf0; high++) {
    const bus = new ZorroBus();
    bus.plug(new PlainBoard(identity(0), 7));
    bus.space.write8(zorroConfigArea.zorro3 + 0x44, high);
    assert.equal(bus.space.read8(high * 0x100_0000 + 5), 7);
    assert.equal(bus.space.read8((high + 1) * 0x100_0000), 0xff);
  }
});

test("an interrupt line is asserted while any board pulls it", () => {
  const bus = new ZorroBus();
  const boards = [1, 2].map((mark) => new PlainBoard(identity(0), mark));
  for (const board of boards) bus.plug(board);
  const seen: boolean[] = [];
  bus.onInterrupt((line, level) => {
    assert.equal(line, "INT2");
    seen.push(level);
  });
  boards[0].slot?.interrupt("INT2", true);
  boards[1].slot?.interrupt("INT2", true);
  boards[0].slot?.interrupt("INT2", false);
  assert.equal(bus.level("INT2"), true);
  boards[1].slot?.interrupt("INT2", false);
  assert.deepEqual(seen, [true, false]);
});

test("a reset takes the bases away", () => {
  const bus = new ZorroBus();
  const board = new PlainBoard(identity(0), 1);
  bus.plug(board);
  configureZorro(bus.space);
  bus.reset();
  assert.equal(bus.configured.length, 0);
  assert.equal(board.resets, 1);
  assert.equal(configureZorro(bus.space).length, 1);
});

test("an access across a board's end, and any access outside, is safe", () => {
  const bus = new ZorroBus();
  bus.plug(new PlainBoard(identity(0), 1));
  configureZorro(bus.space);
  assert.equal(bus.space.read32(0x40ff_fffe), 0x0101_ffff);
  for (const address of [0, 0xe8_0000, 0xff00_fffe, 0xffff_ffff, 0x40ff_ffff, -4]) {
    bus.space.write32(address, 0);
    assert.ok(bus.space.read32(address) >= 0);
  }
});
