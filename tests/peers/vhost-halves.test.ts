/** Our driver half over vhost-user, on our own back end in another process and on QEMU's storage daemon. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { openVhostUser, type FrontEndOptions, type VhostUserFrontEnd } from "../../src/platform/vhost-user/index.js";
import { unitAddress } from "../../src/scsi/index.js";
import { seededRandom } from "../../src/testing/index.js";
import { featureNames, featureSet, ProtocolFeature } from "../../src/transport/index.js";
import { scsiConfig, VirtioBlkDriver, VirtioScsiDriver, virtioBlkId, virtioScsiId } from "../../src/virtio/index.js";
import { type BackEndProcess, startBackEnd, startStorageDaemon } from "./vhost-processes.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-vhost-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let sockets = 0;
const newSocket = () => join(folder, `socket-${sockets++}`);
const noLinux = process.platform !== "linux" && "vhost-user needs Linux";
const noDaemon =
  noLinux || (spawnSync("qemu-storage-daemon", ["--version"]).status !== 0 && "qemu-storage-daemon is not installed");

/** The configuration that a front end for SCSI hosts makes up, as QEMU does. */
function scsiConfiguration(requestQueues: number): Uint8Array {
  const bytes = new Uint8Array(scsiConfig.size);
  const sizes = { eventInfoSize: 16, senseSize: 96, cdbSize: 32, maxChannel: 0, maxTarget: 255, maxLun: 16383 };
  const limits = { numQueues: requestQueues, segMax: 126, maxSectors: 0xffff, cmdPerLun: 128 };
  scsiConfig.write(new DataView(bytes.buffer), 0, "little", { ...limits, ...sizes });
  return bytes;
}

async function withFrontEnd(
  peer: BackEndProcess,
  options: FrontEndOptions,
  work: (frontEnd: VhostUserFrontEnd) => Promise<void>,
): Promise<void> {
  try {
    const frontEnd = await openVhostUser(options);
    try {
      await work(frontEnd);
    } finally {
      frontEnd.close();
    }
  } finally {
    await peer.stop();
  }
}

function randomBytes(length: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  const words = new Uint32Array(length / 4).map(() => random.below(2 ** 32));
  return new Uint8Array(words.buffer);
}

/** Writes and reads back, at several sizes and places. */
async function verifyBlk(driver: VirtioBlkDriver, sectors: number, queues = 1): Promise<void> {
  const random = seededRandom(7);
  const model = randomBytes(sectors * 512, 1);
  await driver.writeSectors(0, model);
  for (let round = 0; round < 60; round++) {
    const length = 1 + random.below(round % 10 === 0 ? 2048 : 32);
    const sector = random.below(sectors - length);
    const options = { queue: round % queues };
    if (random.chance(0.5)) {
      const data = randomBytes(length * 512, round);
      model.set(data, sector * 512);
      await driver.writeSectors(sector, data, options);
    } else {
      const data = new Uint8Array(length * 512);
      await driver.readSectors(sector, data, options);
      assert.deepEqual(Buffer.compare(data, model.subarray(sector * 512, (sector + length) * 512)), 0, `sector ${sector}`);
    }
  }
  await driver.flushCache();
  const all = new Uint8Array(model.length);
  await driver.readSectors(0, all);
  assert.equal(Buffer.compare(all, model), 0);
}

const f = ProtocolFeature;
const blkCases: readonly { name: string; options?: Partial<FrontEndOptions>; args?: string[]; queues?: number }[] = [
  { name: "everything that both know" },
  { name: "without acknowledgements", options: { acknowledged: false } },
  { name: "memory as a table", options: { withoutProtocolFeatures: featureSet(f.CONFIGURE_MEM_SLOTS) } },
  { name: "without a record of what is in flight", options: { withoutProtocolFeatures: featureSet(f.INFLIGHT_SHMFD) } },
  { name: "two queues", args: ["--queues", "2"], queues: 2 },
  { name: "a store that answers late", args: ["--slow", "2"] },
  { name: "little-endian legacy", options: { legacy: true } },
  { name: "big-endian legacy", options: { legacy: true, guestEndianness: "big" } },
  { name: "small rings", options: { queueSize: 4 }, args: ["--queue-size", "4"] },
];

describe("our front end and our back end, two processes", { skip: noLinux }, () => {
  for (const { name, options, args = [], queues = 1 } of blkCases) {
    test(`virtio-blk: ${name}`, async () => {
      const socket = newSocket();
      const peer = await startBackEnd(socket, "blk", `${8 << 20}`, ...args);
      await withFrontEnd(peer, { place: { connect: socket }, deviceId: virtioBlkId, ...options }, async ({ transport }) => {
        const driver = await VirtioBlkDriver.open(transport, { queues });
        await verifyBlk(driver, (8 << 20) / 512, queues);
        await driver.close();
      });
      assert.match(peer.output(), /^ready\ngone\n$/);
    });
  }

  for (const legacy of [false, true]) {
    test(`virtio-scsi, ${legacy ? "big-endian legacy" : "modern"}`, async () => {
      const socket = newSocket();
      const peer = await startBackEnd(socket, "scsi", `${8 << 20}`);
      const options: FrontEndOptions = { place: { connect: socket }, deviceId: virtioScsiId };
      const endian = legacy ? ({ legacy, guestEndianness: "big" } as const) : {};
      await withFrontEnd(peer, { ...options, ...endian, localConfig: scsiConfiguration(1) }, async ({ transport }) => {
        assert.equal(transport.queueCount, 3);
        const driver = await VirtioScsiDriver.open(transport);
        const data = randomBytes(65536, 3);
        const address = unitAddress(0, 0);
        // The unit attention of a new nexus comes first.
        await driver.execute(address, new Uint8Array(6));
        const write = Uint8Array.from([0x2a, 0, 0, 0, 0, 8, 0, 0, 128, 0]);
        assert.equal((await driver.execute(address, write, { dataOut: data })).status, 0);
        const back = new Uint8Array(65536);
        const read = Uint8Array.from([0x28, 0, 0, 0, 0, 8, 0, 0, 128, 0]);
        assert.equal((await driver.execute(address, read, { dataIn: back })).status, 0);
        assert.equal(Buffer.compare(back, data), 0);
        await driver.close();
      });
    });
  }
});
