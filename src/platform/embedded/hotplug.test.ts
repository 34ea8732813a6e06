/** Devices that come and go on a board: their places are numbers that are used again, and no two live ones share one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Board, findVirtioAdapters, openAdapter, pciBoards, riscvVirt } from "../../machine/index.js";
import { MemoryStore } from "../../storage/index.js";
import type { VirtioMmioDevice, VirtioPciDevice } from "../../transport/index.js";
import { VirtioBlkDevice, VirtioBlkDriver } from "../../virtio/index.js";
import { EmbeddedMachine } from "./machine.js";

type Plugged = VirtioPciDevice | VirtioMmioDevice;

/** A machine whose disks are told apart by their size. */
class Bay {
  readonly machine: EmbeddedMachine;
  readonly #isMmio: boolean;

  constructor(board: Board) {
    this.machine = new EmbeddedMachine(board, { ramSize: 16 << 20 });
    this.#isMmio = board.mmio !== undefined;
  }

  plug(disk: VirtioBlkDevice): Plugged {
    return this.#isMmio ? this.machine.plugMmio(disk) : this.machine.plugVirtio(disk, { classCode: 0x018000 });
  }

  /** Where the disks are, from the lowest place on. */
  places(): string[] {
    return findVirtioAdapters(this.machine).map(({ place }) => place);
  }

  open(place: string): Promise<VirtioBlkDriver> {
    const adapter = findVirtioAdapters(this.machine).find((found) => found.place === place);
    assert.ok(adapter !== undefined, `nothing at ${place}`);
    return VirtioBlkDriver.open(openAdapter(this.machine, adapter), { timeout: 50, grace: 50 });
  }
}

const diskOf = (sectors: number) => new VirtioBlkDevice(new MemoryStore(512 * sectors));
const boards = [...pciBoards, riscvVirt];

for (const board of boards) {
  test(`${board.name}: a device gets the lowest free place, that of one that went, also when it comes back itself`, async () => {
    const bay = new Bay(board);
    const returning = diskOf(101);
    let plugged = bay.plug(returning);
    const neighbour = bay.plug(diskOf(102));
    const places = bay.places();
    assert.equal(new Set(places).size, 2);
    const live = await bay.open(places[1]);
    for (const disk of [diskOf(103), returning, returning, diskOf(104)]) {
      bay.machine.unplug(plugged);
      assert.deepEqual(bay.places(), [places[1]]);
      plugged = bay.plug(disk);
      assert.deepEqual(bay.places(), places);
      const driver = await bay.open(places[0]);
      assert.equal(driver.info.capacity, disk.capacity);
      // The one beside it goes on all the time: nobody took its registers, its interrupt or its memory.
      await Promise.all([
        driver.writeSectors(0, new Uint8Array(512).fill(1)),
        live.writeSectors(0, new Uint8Array(512).fill(2)),
      ]);
      const back = new Uint8Array(512);
      await live.readSectors(0, back);
      assert.ok(back.every((byte) => byte === 2));
      await driver.close();
    }
    await live.close();
    bay.machine.unplug(neighbour);
    bay.machine.unplug(neighbour);
    assert.deepEqual(bay.places(), [places[0]]);
    await bay.machine.close();
  });

  test(`${board.name}: as many as there are places, one more is refused, and after each that went there is room for one`, async () => {
    const bay = new Bay(board);
    const plugged: Plugged[] = [];
    for (;;) {
      try {
        plugged.push(bay.plug(diskOf(8)));
      } catch (error) {
        assert.ok(error instanceof RangeError);
        break;
      }
    }
    const places = bay.places();
    assert.equal(new Set(places).size, plugged.length, "no two share a place");
    for (const [index, device] of plugged.entries()) {
      bay.machine.unplug(device);
      bay.plug(diskOf(100 + index));
      assert.throws(() => bay.plug(diskOf(8)), RangeError);
      assert.deepEqual(bay.places(), places);
      if (index > 3) continue;
      const driver = await bay.open(places[index]);
      assert.equal(driver.info.capacity, 100 + index);
      await driver.close();
    }
    await bay.machine.close();
  });

  test(`${board.name}: a device that is taken out has nothing any more: it touches no memory, and its driver learns it`, async () => {
    const bay = new Bay(board);
    const faults = { blockRequest: () => ({ kind: "never" }) as const };
    const disk = new VirtioBlkDevice(new MemoryStore(1 << 16), { faults });
    const plugged = bay.plug(disk);
    const driver = await bay.open(bay.places()[0]);
    const read = driver.readSectors(0, new Uint8Array(512), { timeout: 0 });
    assert.equal(disk.running.size, 1);
    bay.machine.unplug(plugged);
    assert.equal(disk.running.size, 0);
    driver.checkHealth();
    await assert.rejects(read, { code: "device-gone" });
    await bay.machine.close();
  });

  test(`${board.name}: a device is taken out under load: every request ends once; a new one in its place works`, async () => {
    const bay = new Bay(board);
    for (let round = 0; round < 5; round++) {
      const device = bay.plug(diskOf(1000));
      const [place] = bay.places();
      const driver = await bay.open(place);
      let ended = 0;
      const before = Array.from({ length: 30 }, (_, index) =>
        driver.writeSectors(index, new Uint8Array(512)).finally(() => ended++),
      );
      const outcome = Promise.allSettled(before);
      if (round % 2 === 0) await bay.machine.idle(1);
      bay.machine.unplug(device);
      const late = driver.readSectors(0, new Uint8Array(512)).finally(() => ended++);
      // Nobody tells: the first that runs out of time finds out. An empty window reads zeros, an empty slot ones.
      await assert.rejects(late, { code: "device-gone" });
      for (const one of await outcome) {
        if (one.status === "rejected") assert.equal((one.reason as { code?: string }).code, "device-gone");
      }
      assert.deepEqual([ended, driver.state, bay.places()], [31, "closed", []]);
    }
    await bay.machine.close();
  });
}
