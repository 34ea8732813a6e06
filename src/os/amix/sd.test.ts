/** Which card gets which number. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { windowOf } from "../../bytes/index.js";
import { AmixPanic, Autocon, amixProfiles, type ConfigRecord, Errno, SdCom, SdRegistry } from "./index.js";

const a2091 = 0x0202_0003;
const a4091 = 0x0202_0054;
const a4092 = 0xc0de_0001;
const size = 1 << 24;

function registry(
  records: readonly ConfigRecord[],
  options: { phantom?: boolean; profile?: "strict" | "extended" } = {},
) {
  const space = windowOf(
    () => 0xff,
    () => {},
  );
  const kernelEnd = options.phantom === true ? 0x0710_0000 : 0;
  const printed: string[] = [];
  const calls: string[] = [];
  const driver = (name: string) => (index: number, command: SdCom) => {
    calls.push(`${name}(${index})`);
    command.end(0);
    return true;
  };
  const sd = new SdRegistry({
    autocon: new Autocon({ records, kernelEnd, gate: "stock", space }),
    profile: amixProfiles[options.profile ?? "extended"],
    drivers: { a3091queue: driver("a3091queue"), a2091queue: driver("a2091queue"), a4091queue: driver("a4091queue") },
    print: (line) => printed.push(line),
  });
  const send = (card: number) => {
    const command = new SdCom();
    command.aim(card, 0, true, 0, 0);
    sd.queue(command);
    return command;
  };
  return { sd, printed, calls, send };
}

test("check 27, 5.3: A3000 + A4091 are cards 0 and 1, by base address", () => {
  const { sd } = registry([{ product: a4091, base: 0x4000_0000, size }], { phantom: true });
  assert.equal(sd.open(0), Errno.None);
  assert.equal(sd.open(1), Errno.None);
  assert.deepEqual([sd.hardwareName(0), sd.cardBase(0)], ["A3000 Internal SCSI", 0xdd_0000]);
  assert.deepEqual([sd.hardwareName(1), sd.cardBase(1)], ["A4091 SCSI", 0x4000_0000]);
});

test("check 27, 5.3: on an A4000 the A4091 is card 0; card 1 and card 2 are ENXIO", () => {
  const { sd } = registry([{ product: a4091, base: 0x4000_0000, size }]);
  assert.equal(sd.open(0), Errno.None);
  assert.equal(sd.hardwareName(0), "A4091 SCSI");
  assert.equal(sd.open(1), Errno.NoDevice);
  assert.equal(sd.open(2), Errno.NoDevice, "check 28: there are two cards");
});

test("check 27, 5.3: the queue function gets the index among boards of its type, not the card number", () => {
  const records = [
    { product: a4091, base: 0x4100_0000, size },
    { product: a4091, base: 0x4000_0000, size },
  ];
  const { sd, calls, send } = registry(records);
  sd.init();
  send(0);
  send(1);
  assert.deepEqual(calls, ["a4091queue(1)", "a4091queue(0)"], "sorted by base, numbered as autocon found them");
  const mixed = registry([{ product: a4091, base: 0x4000_0000, size }], { phantom: true });
  mixed.sd.init();
  mixed.send(1);
  assert.deepEqual(mixed.calls, ["a4091queue(0)"], "card 1 is the first A4091");
});

test("check 27, 5.3: a third controller is refused with the message", () => {
  const records = [0x4000_0000, 0x4100_0000, 0x4200_0000].map((base) => ({ product: a4091, base, size }));
  const { sd, printed } = registry(records);
  sd.init();
  assert.deepEqual(printed, ["sd: too many controllers"]);
  assert.deepEqual(
    sd.cards.map(({ base }) => base),
    [0x4000_0000, 0x4100_0000],
  );
  sd.init();
  assert.equal(printed.length, 1, "init runs while there is no card");
});

test("5.3: strict refuses the controller that it asked for last, extended the one with the highest base", () => {
  const records = [
    { product: a4091, base: 0x4000_0000, size },
    { product: a4091, base: 0x4100_0000, size },
    { product: a4092, base: 0x1000_0000, size },
  ];
  const bases = (profile: "strict" | "extended") => {
    const { sd } = registry(records, { profile });
    sd.init();
    return { cards: sd.cards.map(({ base }) => base), refused: sd.refused.map(({ base }) => base) };
  };
  assert.deepEqual(bases("strict"), { cards: [0x4000_0000, 0x4100_0000], refused: [0x1000_0000] });
  assert.deepEqual(bases("extended"), { cards: [0x1000_0000, 0x4000_0000], refused: [0x4100_0000] });
});

test("5.3: init looks again while it found nothing, and rows without a driver are not asked for", () => {
  const { sd } = registry([{ product: 0x0202_0001, base: 0xe9_0000, size: 0x1_0000 }]);
  assert.equal(sd.open(0), Errno.NoDevice, "no A2090 driver is linked");
  const records: ConfigRecord[] = [];
  const late = registry(records);
  assert.equal(late.sd.open(0), Errno.NoDevice);
  const other = registry([{ product: a2091, base: 0xe9_0000, size: 0x1_0000 }]);
  assert.equal(other.sd.open(0), Errno.None);
});

test("5.3: sdqueue for a card that is not there: strict ends the kernel, extended fails the command", () => {
  const strict = registry([], { profile: "strict" });
  assert.throws(() => strict.send(1), AmixPanic);
  assert.throws(() => strict.send(7), /panic: sdqueue called through slot 7/);
  const command = registry([]).send(7);
  assert.deepEqual([command.okay, command.status], [false, 0xff]);
});
