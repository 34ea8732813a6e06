/** Mounting through the device on both boards: what is there at the start, what comes and goes, what nothing mounts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { makeAffsVolume } from "../../../filesystem/affs/make-volume.js";
import { amigaone, findVirtioAdapters, pegasos2 } from "../../../machine/index.js";
import { makeRdb } from "../../../partition/make-rdb.js";
import { Disk } from "../../../scsi/index.js";
import { MemoryStore } from "../../../storage/index.js";
import { type LoopbackUnit, type PluggedLoopback, plugLoopback } from "../../../testing/index.js";
import { type BootedAmiga, type BootOptions, bootAmigaos } from "./boot.js";
import { parseKicklayout } from "./kicklayout.js";

const cylinder = 4 * 32;
const boards = {
  amigaone: { board: amigaone, transport: "legacy-be" },
  pegasos2: { board: pegasos2, transport: "modern" },
} as const;

/** A disk with one volume in an RDB. */
function rdbDisk(node: string, volume: string): Uint8Array {
  const disk = new Uint8Array(30 * cylinder * 512);
  disk.set(
    makeRdb({
      cylinders: 30,
      partitions: [{ name: node, dosType: 0x444f5303, lowCylinder: 2, highCylinder: 29, bootable: true }],
    }),
  );
  const root = new Map([["name", volume]]);
  const made = makeAffsVolume({ dosType: 0x444f5303, name: volume, blocks: 28 * cylinder, root });
  disk.set(made, 2 * cylinder * 512);
  return disk;
}

function diskAt(target: number, lun: number, bytes: Uint8Array): LoopbackUnit {
  return { target, lun, unit: new Disk(MemoryStore.of(bytes), { powerOnAttention: false }) };
}

async function withAmiga(
  machine: keyof typeof boards,
  options: BootOptions,
  work: (amiga: BootedAmiga, plugged: PluggedLoopback) => Promise<void>,
): Promise<void> {
  const units = [diskAt(0, 0, rdbDisk("DH0", "System")), diskAt(1, 1, rdbDisk("DH0", "Work"))];
  const plugged = plugLoopback({ ...boards[machine], units, interrupts: "intx", ramSize: 16 << 20 });
  const adapters = findVirtioAdapters(plugged.machine).filter((adapter) => adapter.on === "pci");
  const amiga = await bootAmigaos(plugged.machine, adapters, { timeout: 2000, ...options });
  await work(amiga, plugged);
  await amiga.close();
  await plugged.unplug();
  plugged.dma?.assertNothingAllocated();
}

async function textOf(amiga: BootedAmiga, path: string): Promise<string> {
  let text = "";
  for await (const piece of amiga.volumes.content(path)) text += Buffer.from(piece).toString("latin1");
  return text;
}

/** Waits for events to be followed. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition() && turns < 200; turns++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(condition(), "nothing happened within a second");
}

for (const machine of ["amigaone", "pegasos2"] as const) {
  for (const profile of ["strict", "extended"] as const) {
    test(`7 ${machine}, ${profile}: units at 0/0 and 1/1 are units 0 and 1, and mounted; names are kept apart`, () =>
      withAmiga(machine, { profile }, async (amiga) => {
        assert.deepEqual(
          amiga.mounter.nodes.map(({ name, unit }) => `${name} ${unit}`),
          ["DH0 0", "DH0.1 1"],
        );
        assert.equal(await textOf(amiga, "DH0:name"), "System");
        assert.equal(await textOf(amiga, "work:name"), "Work");
        assert.deepEqual(amiga.warnings, []);
        assert.ok(
          amiga.startUp.initialised.indexOf("mounter.library") < amiga.startUp.initialised.indexOf("virtioscsi.device"),
        );
      }));
  }

  test(`7 ${machine}: a unit that is plugged in is announced, one that is pulled out is denounced`, () =>
    withAmiga(machine, {}, async (amiga, { bus }) => {
      bus.attach(4, 0, diskAt(4, 0, rdbDisk("DH7", "Late")).unit);
      await until(() => amiga.mounter.find("DH7") !== undefined);
      assert.equal(await textOf(amiga, "Late:name"), "Late");
      bus.detach(4, 0);
      await until(() => amiga.mounter.find("DH7") === undefined);
      await assert.rejects(amiga.volumes.list("Late:"), /there is no volume Late/);
      assert.equal(await textOf(amiga, "DH0:name"), "System");
    }));
}

test("7: without mounter.library the device comes up, warns, and nothing is mounted", () => {
  const [layout] = parseKicklayout("LABEL x\nEXEC Kickstart/loader\nMODULE Kickstart/virtioscsi.device\n");
  return withAmiga("pegasos2", { layout }, async (amiga) => {
    assert.equal(amiga.mounter.nodes.length, 0);
    assert.match(amiga.warnings.join(), /^mounter\.library is not in the Kicklayout/);
    // The units are there all the same.
    assert.equal((await amiga.disk(1)).blocks, 30 * cylinder);
  });
});

test("a Kickstart without the device has no units", async () => {
  const [layout] = parseKicklayout("LABEL x\nMODULE Kickstart/mounter.library\n");
  await assert.rejects(
    withAmiga("pegasos2", { layout }, async () => {}),
    /virtioscsi\.device is not in the Kicklayout/,
  );
});
