/**
 * Records every configuration access of an enumeration on QEMU's machines and repeats it on the embedded boards: both
 * must answer the same, but for the differences that are named here.
 */
import assert from "node:assert/strict";
import { amigaone, type Board, pciBoards } from "../../src/machine/index.js";
import {
  type ConfigAccessRecord,
  enumeratePci,
  formatConfigDifference,
  type KnownDifference,
  MsixVectors,
  openConfigAccess,
  type ProcessorSpaces,
  prepareBridge,
  recordConfig,
  replayConfig,
  reviewDifferences,
} from "../../src/pci/index.js";
import { EmbeddedMachine } from "../../src/platform/embedded/index.js";
import { findQemu, inspectQemu, startQemuMachine } from "../../src/platform/qemu/index.js";
import { ScsiBus } from "../../src/scsi/index.js";
import { VirtioScsiDevice } from "../../src/virtio/index.js";
import { test } from "./limited-test.js";

const registersOf = (place: string, reason: string, registers: readonly string[]): KnownDifference[] =>
  registers.map((register) => ({ name: `${place} ${register}`, reason }));

/** Differences by board and QEMU's major version. The embedded Pegasos II follows QEMU 7.2, the AmigaOne QEMU 10. */
const knownDifferences: Readonly<Record<string, readonly KnownDifference[]>> = {
  "pegasos2 on QEMU 10": [
    ...registersOf("bridge 1 00:0c.1", "QEMU 10's VT8231 IDE starts in legacy mode, without BARs 0 to 3", [
      "interruptPin",
      ...["bar0", "bar1", "bar2", "bar3", "bar4"],
    ]),
    ...registersOf("bridge 1 00:0c.5", "QEMU 10's VT8231 sound has registers", [
      "command",
      ...["bar0", "bar1", "bar2"],
    ]),
  ],
};

/** The QEMUs to compare with: the one that the board is run on, and the newer one of the AmigaOne where it differs. */
function qemusFor(board: Board): { path?: string; version: string; skip: string | false }[] {
  const found = new Map<string, string>();
  let missing = "";
  for (const user of [board, amigaone]) {
    try {
      const { path } = findQemu(user);
      const program = inspectQemu(path);
      if (program.machines.has(board.qemu?.machine ?? "")) found.set(path, program.version);
    } catch (error) {
      if (user === board) missing = (error as Error).message;
    }
  }
  if (found.size === 0) return [{ version: "", skip: missing }];
  return [...found].map(([path, version]) => ({ path, version, skip: false }));
}

function embedded(board: Board): ProcessorSpaces {
  const place = board.adapters;
  assert.ok(place !== undefined);
  const machine = new EmbeddedMachine(board, { ramSize: 1 << 20 });
  const vectors = board.bridges[place.bridge].messageInterrupts ? 4 : 0;
  machine.plugVirtio(new VirtioScsiDevice(new ScsiBus()), { classCode: 0x010000, vectors });
  return machine;
}

for (const board of pciBoards) {
  for (const { path, version, skip } of qemusFor(board)) {
    test(`${board.name} on QEMU ${version}: an enumeration is answered as on the embedded board`, {
      skip,
    }, async () => {
      const machine = await startQemuMachine({
        board,
        qemuPath: path,
        ramSize: 64 << 20,
        adapters: [
          { kind: "virtio-scsi", properties: { num_queues: 1, addr: board.adapters?.slots[0] ?? 0 }, disks: [] },
        ],
      });
      const log: ConfigAccessRecord[] = [];
      try {
        const found = enumeratePci(machine, board.bridges, {
          wrapConfig: (access, bridge) => recordConfig(access, bridge, log),
        });
        assert.deepEqual(
          found.flatMap((handle) => handle.problems),
          [],
        );
        const adapter = found.find((handle) => handle.vendorId === 0x1af4);
        assert.ok(adapter !== undefined);
        adapter.enable({ io: true, memory: true, busMaster: true });
        // Past the wire: the BARs must lead to the device. Legacy features and the number of queues say that they do.
        const io = adapter.bar(0);
        if (io !== undefined) assert.equal(io.read32(0), 0x79000006);
        assert.equal(adapter.bar(4)?.read16(0x12), 3);
        const msix = MsixVectors.open(adapter);
        assert.equal(msix !== undefined, board.bridges[0].messageInterrupts);
        msix?.enable();
        msix?.program(3, { address: 0x1000, data: 0x21 });
        assert.equal(msix?.enabled ?? true, true);
      } finally {
        await machine.close();
      }
      assert.ok(log.length > 200);
      const spaces = embedded(board);
      for (const bridge of board.bridges) prepareBridge(spaces, bridge);
      const accesses = board.bridges.map((bridge) => openConfigAccess(spaces, bridge.config));
      const known = knownDifferences[`${board.name} on QEMU ${version.split(".")[0]}`] ?? [];
      const review = reviewDifferences(replayConfig(log, accesses), known);
      assert.deepEqual(review.unexpected.map(formatConfigDifference), []);
      assert.deepEqual(review.unseen, []);
    });
  }
}
