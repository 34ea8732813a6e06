/** Scenarios of defects in finding a controller and bringing it up. */
import assert from "node:assert/strict";
import { commandBits, type PciFunctionHandle } from "../../../pci/index.js";
import { inTime } from "../../../testing/index.js";
import { CapabilityKind, virtioCapability } from "../../../transport/index.js";
import { Command } from "../commands/index.js";
import { type DeviceScenario, onLoop } from "./scenario.test.js";

const capability = virtioCapability.offset;

/** Both disks of the loop, and one block of each. */
const bothDisks: Parameters<typeof onLoop>[2] = async (loop) => {
  assert.deepEqual(
    loop.driver.units.map((unit) => [unit?.target, unit?.lun]),
    [
      [0, 0],
      [1, 1],
    ],
  );
  for (const unit of [0, 1]) assert.equal((await inTime((await loop.open(unit)).read(512, 512))).length, 512);
};

/** Hides the capability of a kind: its configuration space says another one. */
function hideCapability(fn: PciFunctionHandle, kind: number): void {
  const read = fn.readConfig.bind(fn);
  const places = fn.capabilities.map(({ offset }) => offset).filter((at) => read(at + capability.kind, 1) === kind);
  fn.readConfig = (offset, width) =>
    width === 1 && places.includes(offset - capability.kind) ? CapabilityKind.PciConfig : read(offset, width);
}

export const startScenarios: readonly DeviceScenario[] = [
  {
    id: "B5",
    rule: "the device is in exec's list once, and its units can be opened while others are announced",
    run: async (profile) => {
      const announced: number[] = [];
      await onLoop(profile, { announce: (unit) => void announced.push(unit) }, async (loop) => {
        assert.deepEqual(announced, [0, 1]);
        assert.equal(loop.system.exec.findDevice("virtioscsi.device"), loop.driver);
        const programs = await inTime(Promise.all([loop.open(0), loop.open(1)]));
        assert.equal(programs.length, 2);
      });
    },
  },
  {
    id: "B19",
    rule: "registers in memory BARs are read and written",
    run: (profile) => onLoop(profile, { board: "pegasos2" }, bothDisks),
  },
  {
    id: "B21",
    rule: "memory space and bus mastering are turned on",
    run: (profile) =>
      onLoop(
        profile,
        { board: "pegasos2", prepare: (fn) => fn.setCommand(0, commandBits.memory | commandBits.busMaster) },
        bothDisks,
      ),
  },
  {
    id: "B22",
    rule: "a modern device, which has no BAR 0, is notified",
    run: (profile) => onLoop(profile, { board: "pegasos2" }, bothDisks),
  },
  {
    id: "B24",
    rule: "a BAR 4 whose upper half firmware left at all ones is repaired",
    run: (profile) =>
      onLoop(
        profile,
        {
          ...{ board: "amigaone", plug: { flavour: "modern" } },
          prepare: (fn) => fn.writeConfig(0x24, 4, 0xffff_ffff),
        },
        bothDisks,
      ),
  },
  {
    id: "L1",
    rule: "a device without a notification structure is refused in words",
    run: (profile) =>
      assert.rejects(
        onLoop(profile, { prepare: (fn) => hideCapability(fn, CapabilityKind.Notify) }, bothDisks),
        /no usable notification structure/,
      ),
  },
  {
    id: "L2",
    rule: "memory space and bus mastering are on afterwards, whichever was on before",
    run: async (profile) => {
      const both = commandBits.memory | commandBits.busMaster;
      for (const before of [commandBits.memory, commandBits.busMaster, 0]) {
        const prepare = (fn: PciFunctionHandle) => fn.setCommand(before, both & ~before);
        await onLoop(profile, { board: "pegasos2", prepare }, async (loop) => {
          assert.equal(loop.fn.command & both, both);
          await bothDisks(loop);
        });
      }
    },
  },
  {
    id: "L3",
    rule: "a ring lies in one piece also when exec's memory does not",
    run: (profile) => onLoop(profile, { pages: "scattered", ringPages: "scattered" }, bothDisks),
  },
  {
    id: "B26",
    rule: "each unit's task serves its own unit, however quickly others are started",
    run: (profile) =>
      onLoop(profile, {}, async (loop) => {
        const [one, other] = await Promise.all([loop.open(0), loop.open(1)]);
        const requests = [one, other].map((program) =>
          program.send({ command: Command.CMD_READ, length: 512, data: program.buffer(512) }),
        );
        assert.equal((await inTime(one.wait(requests[0]))).error, 0);
        assert.equal((await inTime(other.wait(requests[1]))).error, 0);
      }),
  },
];
