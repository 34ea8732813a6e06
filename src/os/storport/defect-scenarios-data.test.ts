/** Scenarios of defects in what commands mean and answer. */
import assert from "node:assert/strict";
import { cdb } from "../../scsi/index.js";
import { MemoryStore } from "../../storage/index.js";
import {
  type DefectScenario,
  diskPattern,
  loopScenario,
  openStorportLoop,
  type StorportLoop,
} from "../../testing/index.js";
import { BlkType } from "../../virtio/index.js";
import { behaviourWith } from "./behaviour.js";
import { SrbStatus } from "./srb.js";
import { sendSrb } from "./srb-sender.js";
import { decodeTransfer, newTransferFields } from "./transfer-decoder.js";

async function ask({ disk }: StorportLoop, command: Uint8Array, room: number) {
  const data = new Uint8Array(room);
  const result = await sendSrb(disk.port, { cdb: command, dataIn: data });
  return { ...result, data: data.subarray(0, result.length) };
}

/** A CDB of the given bytes, filled up with zeros. */
function bytes(length: number, ...first: number[]): Uint8Array {
  const command = new Uint8Array(length);
  command.set(first);
  return command;
}

/** UNMAP of some blocks. */
function unmapList(lba: number, blocks: number): Uint8Array {
  const list = new Uint8Array(24);
  const view = new DataView(list.buffer);
  view.setUint16(0, 22);
  view.setUint16(2, 16);
  view.setBigUint64(8, BigInt(lba));
  view.setUint32(16, blocks);
  return list;
}

/** Counts requests by type. */
class Counter {
  readonly types = new Map<number, number>();
  readonly hook = {
    blockRequest: ({ type }: { type: number }) => {
      this.types.set(type, (this.types.get(type) ?? 0) + 1);
      return undefined;
    },
  };
  of(type: number): number {
    return this.types.get(type) ?? 0;
  }
}

const sent = new Counter();
const unmapped = new Counter();

export const dataScenarios: readonly DefectScenario[] = [
  loopScenario(1, "WRITE AND VERIFY writes", {}, async (loop) => {
    const data = diskPattern(1024);
    for (const command of [bytes(10, 0x2e, 0, 0, 0, 0, 9, 0, 0, 2), bytes(12, 0xae, 0, 0, 0, 0, 9, 0, 0, 0, 2)]) {
      await loop.store.discard(9 * 512, 1024);
      assert.equal((await sendSrb(loop.disk.port, { cdb: command, dataOut: data })).status, SrbStatus.Success);
      assert.deepEqual(await loop.stored(9 * 512, 1024), data);
    }
  }),
  loopScenario(2, "WCE, FUA and flush come from one source", { faults: sent.hook }, async (loop) => {
    sent.types.clear();
    const mode = await ask(loop, cdb.modeSense6(0x08), 64);
    const claims = (mode.data[4 + 2] & 0x04) !== 0;
    await sendSrb(loop.disk.port, { cdb: cdb.synchronizeCache10() });
    assert.equal(sent.of(BlkType.Flush), claims ? 1 : 0);
  }),
  loopScenario(
    3,
    "the block length is blk_size or 512",
    { profile: "seed", flavour: "legacy", device: { sizeMax: 4096 } },
    async (loop) => {
      const { data } = await ask(loop, cdb.readCapacity10(), 8);
      assert.deepEqual([...data], [0, 0, 7, 255, 0, 0, 2, 0]);
    },
  ),
  {
    number: 4,
    rule: "READ(6): 21 bits of LBA, most significant first; 0 blocks are 256",
    run: async (defects) => {
      const behaviour = behaviourWith(defects);
      const fields = newTransferFields();
      const decoded = (...command: number[]) => {
        assert.equal(decodeTransfer(Uint8Array.from(command), behaviour, fields), true);
        return [fields.write, fields.lba, fields.blocks];
      };
      assert.deepEqual(decoded(0x08, 0x01, 0x23, 0x45, 7, 0), [false, 0x12345, 7]);
      assert.deepEqual(decoded(0x0a, 0xff, 0xff, 0xff, 0, 0), [true, 0x1fffff, 256]);
      assert.deepEqual(decoded(0x28, 0, 1, 2, 3, 4, 0, 5, 6, 0), [false, 0x01020304, 0x506]);
      assert.deepEqual(decoded(0xaa, 8, 1, 2, 3, 4, 0, 1, 0, 6, 0, 0), [true, 0x01020304, 0x10006]);
      assert.deepEqual(decoded(0x88, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 9, 0, 0), [false, 0x102030405, 9]);
    },
  },
  {
    number: 5,
    rule: "two disks have two identifiers",
    run: async (defects) => {
      const page = async (profile: "seed" | "current", serial: string, slot: number) => {
        const plug = { slot };
        const loop = await openStorportLoop({ profile, defects, flavour: "transitional", device: { serial }, plug });
        const { data } = await ask(loop, cdb.inquiry(255, 0x83), 255);
        await loop.close();
        return [...data];
      };
      assert.notDeepEqual(await page("current", "one", 3), await page("current", "two", 3));
      assert.notDeepEqual(await page("seed", "", 3), await page("seed", "", 4));
    },
  },
  {
    number: 13,
    rule: "on a disk of 4 KiB blocks a transfer past the end is refused before it is sent",
    run: loopScenario(13, "", { device: { blockSize: 4096 } }, async (loop) => {
      const status = async (lba: number, blocks: number) =>
        (await sendSrb(loop.disk.port, { cdb: cdb.read10(lba, blocks), dataIn: new Uint8Array(blocks * 4096) })).status;
      assert.equal(await status(254, 2), SrbStatus.Success);
      assert.equal(await status(255, 2), SrbStatus.BadSrbBlockLength);
      assert.equal(await status(256, 1), SrbStatus.BadSrbBlockLength);
    }).run,
  },
  loopScenario(
    15,
    "the unmap limit is told in blocks",
    { device: { blockSize: 4096, discard: { maxSectors: 8192 } } },
    async (loop) => {
      const { data } = await ask(loop, cdb.inquiry(255, 0xb0), 255);
      assert.equal(new DataView(data.buffer, data.byteOffset).getUint32(20), 1024);
    },
  ),
  loopScenario(
    16,
    "UNMAP of any range reaches the device",
    { faults: unmapped.hook, device: { discard: { alignment: 8 } } },
    async (loop) => {
      unmapped.types.clear();
      await loop.disk.discover();
      await loop.disk.write(0, diskPattern(16 * 512));
      const command = bytes(10, 0x42, 0, 0, 0, 0, 0, 0, 0, 24);
      assert.equal(
        (await sendSrb(loop.disk.port, { cdb: command, dataOut: unmapList(3, 8) })).status,
        SrbStatus.Success,
      );
      assert.equal(unmapped.of(BlkType.Discard), 1);
      const { data } = await ask(loop, cdb.inquiry(255, 0xb0), 255);
      assert.equal(new DataView(data.buffer, data.byteOffset).getUint32(28), 8, "granularity");
    },
  ),
  loopScenario(24, "the opcode chooses the answer, the allocation length cuts it", {}, async (loop) => {
    assert.equal((await ask(loop, cdb.readCapacity10(), 32)).length, 8);
    assert.equal((await ask(loop, cdb.readCapacity16(), 32)).length, 32);
    assert.equal((await ask(loop, cdb.readCapacity16(8), 8)).length, 8);
    assert.equal((await ask(loop, cdb.readCapacity16(12), 32)).length, 12);
    assert.equal((await ask(loop, cdb.inquiry(5), 96)).length, 5);
  }),
  loopScenario(25, "INQUIRY of a page without EVPD is 05/24/00", {}, async (loop) => {
    const result = await ask(loop, bytes(6, 0x12, 0, 0x80, 0, 96), 96);
    assert.equal(result.status, SrbStatus.Error);
    assert.equal(result.scsiStatus, 2);
    assert.deepEqual([result.sense[0], result.sense[2], result.sense[12], result.sense[13]], [0xf0, 5, 0x24, 0]);
  }),
  loopScenario(
    30,
    "READ and WRITE(12), MODE SENSE(10), WRITE SAME are taken",
    { store: new MemoryStore(1 << 20) },
    async (loop) => {
      const { port } = loop.disk;
      const data = diskPattern(1024);
      const place = [0, 0, 0, 0, 20, 0, 0, 0, 2];
      assert.equal((await sendSrb(port, { cdb: bytes(12, 0xaa, ...place), dataOut: data })).status, SrbStatus.Success);
      assert.deepEqual((await ask(loop, bytes(12, 0xa8, ...place), 1024)).data, data);
      assert.equal((await ask(loop, cdb.modeSense10(0x08), 64)).length, 20);
      for (const value of [0, 0x5a]) {
        const block = new Uint8Array(512).fill(value);
        const same = bytes(10, 0x41, 0, 0, 0, 0, 30, 0, 3, 0x20);
        assert.equal((await sendSrb(port, { cdb: same, dataOut: block })).status, SrbStatus.Success);
        const stored = await loop.stored(30 * 512, 800 * 512);
        assert.ok(stored.every((byte) => byte === value));
        assert.notDeepEqual(await loop.stored(830 * 512, 1), Uint8Array.of(0x5a));
      }
    },
  ),
];
