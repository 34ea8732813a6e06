/**
 * A volume that is copied in through TD_FORMAT and CMD_WRITE, on QEMU's two machines: the machine is started again, and what
 * it mounts is what was there; GRUB reads the same from the image.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AffsTree, makeAffsVolume } from "../../src/filesystem/affs/make-volume.js";
import { amigaone, type Board, findVirtioAdapters, pegasos2, settle } from "../../src/machine/index.js";
import { Program } from "../../src/os/amigaos/commands/command-rig.test.js";
import { type BootedAmiga, type BootOptions, bootAmigaos, Command } from "../../src/os/index.js";
import { makeRdb } from "../../src/partition/make-rdb.js";
import { findQemu, startQemuMachine } from "../../src/platform/qemu/index.js";
import { seededRandom } from "../../src/testing/index.js";
import { after, before, test } from "./limited-test.js";
import { startGrub, whyNoGrub } from "./linux/grub-fstest.js";

const cylinder = 128 * 512;
const volumeStart = 2 * cylinder;
const volumeBytes = 58 * cylinder;
const random = seededRandom(77);
const big = Uint8Array.from({ length: 200_000 }, () => random.below(256));
const root: AffsTree = new Map<string, string | Uint8Array | AffsTree>([
  ["Disk.info", "icon"],
  ["Big", big],
  ["S", new Map([["Startup-Sequence", "SetPatch QUIET\n"]])],
]);

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-amiga-volumes-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function missing(board: Board): string | false {
  try {
    findQemu(board);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

async function withAmiga(
  board: Board,
  image: string,
  options: BootOptions,
  work: (amiga: BootedAmiga) => Promise<void>,
): Promise<void> {
  const disks = [{ image, target: 0, lun: 0, write: true }];
  const machine = await startQemuMachine({ board, adapters: [{ kind: "virtio-scsi", disks }] });
  try {
    const adapters = findVirtioAdapters(machine).filter((adapter) => adapter.on === "pci");
    const amiga = await settle(machine, bootAmigaos(machine, adapters, options));
    await settle(machine, work(amiga));
    await settle(machine, amiga.close());
  } finally {
    await machine.close();
  }
}

async function contentOf(amiga: BootedAmiga, path: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of amiga.volumes.content(path)) pieces.push(piece.slice());
  return Buffer.concat(pieces);
}

for (const [name, board] of Object.entries({ amigaone, pegasos2 })) {
  test(`${name}: a volume through TD_FORMAT and CMD_WRITE is there after a restart`, {
    skip: missing(board),
  }, async (t) => {
    const image = join(folder, `${name}.hdf`);
    writeFileSync(image, new Uint8Array(60 * cylinder));
    const partitions = [{ name: "DH0", dosType: 0x444f5303, lowCylinder: 2, highCylinder: 59, bootable: true }];
    const table = makeRdb({ cylinders: 60, partitions });
    const volume = makeAffsVolume({ dosType: 0x444f5303, name: "Copied", blocks: volumeBytes / 512, root });

    await withAmiga(board, image, {}, async ({ system, mounter }) => {
      assert.equal(mounter.nodes.length, 0);
      const program = new Program(system);
      assert.equal(await program.open(0), 0);
      // As a formatter does: tracks first, then the file system's blocks, then all of it is to last.
      for (let at = 0; at < volumeBytes; at += cylinder) {
        const command = at % (2 * cylinder) === 0 ? Command.TD_FORMAT : Command.CMD_WRITE;
        const bytes = volume.subarray(at, at + cylinder);
        assert.deepEqual(await program.write(command, volumeStart + at, bytes), { error: 0, actual: cylinder });
      }
      assert.equal((await program.write(Command.CMD_WRITE, 0, table)).error, 0);
      assert.equal((await program.do({ command: Command.CMD_UPDATE })).error, 0);
      await program.close();
    });

    for (const profile of ["strict", "extended"] as const) {
      await withAmiga(board, image, { profile }, async (amiga) => {
        assert.deepEqual(
          amiga.mounter.nodes.map((node) => `${node.name} ${node.type}`),
          ["DH0 DOS\\3"],
        );
        const entries = (await amiga.volumes.list("Copied:")).map((entry) => `${entry.name} ${entry.type}`);
        assert.deepEqual(entries.sort(), ["Big file", "Disk.info file", "S directory"]);
        assert.ok(Buffer.compare(await contentOf(amiga, "DH0:Big"), big) === 0);
        assert.equal((await contentOf(amiga, "SYS:S/Startup-Sequence")).toString(), "SetPatch QUIET\n");
      });
    }

    const skip = whyNoGrub() ?? false;
    await t.test("GRUB reads the same from the image", { skip }, () => {
      const copy = join(folder, `${name}.volume`);
      writeFileSync(copy, readFileSync(image).subarray(volumeStart));
      const grub = startGrub();
      try {
        assert.deepEqual(grub.list(copy, "/").sort(), ["Big", "Disk.info", "S/"]);
        assert.ok(Buffer.compare(grub.cat(copy, "/Big"), big) === 0);
      } finally {
        grub.close();
      }
    });
  });
}
