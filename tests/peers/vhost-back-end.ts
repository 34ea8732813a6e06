/**
 * A back end as a process of its own, on the event loop, for tests:
 * `node vhost-back-end.js PLACE KIND IMAGE [--connect] [--slow MS] [--queues N] [--queue-size N] [--read-only]`.
 * KIND is blk or scsi; IMAGE a file, or a number of bytes of memory. With `--power-loss` that memory is a disk with a write
 * cache: a line `cut SEED SURVIVAL PATH` writes to PATH what a power cut now would leave, and is answered by `cut SEED`;
 * `--ignores-flush` makes it one that lies. Says `ready`, then one line for each front end that
 * goes; ends when its standard input does.
 */
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { linuxBackEndSystem, nodeEvents, VhostUserServer } from "../../src/platform/vhost-user/index.js";
import { Disk, ScsiBus } from "../../src/scsi/index.js";
import { openImage } from "../../src/storage/file/index.js";
import { MemoryStore, type Store } from "../../src/storage/index.js";
import { PowerLossStore, SlowStore } from "../../src/testing/index.js";
import { type DeviceType, EventLoopRunner, VhostUserBackEnd } from "../../src/transport/index.js";
import { VirtioBlkDevice, VirtioScsiDevice } from "../../src/virtio/index.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    connect: { type: "boolean", default: false },
    slow: { type: "string" },
    queues: { type: "string", default: "1" },
    "queue-size": { type: "string", default: "256" },
    "read-only": { type: "boolean", default: false },
    "power-loss": { type: "boolean", default: false },
    "ignores-flush": { type: "boolean", default: false },
    without: { type: "string", default: "0" },
  },
});
const [place, kind, image] = positionals;

/** A disk of memory that answers lines about power cuts. */
function powerLossStore(byteLength: number): Store {
  const store = new PowerLossStore(byteLength, { ignoresFlush: values["ignores-flush"] });
  createInterface(process.stdin).on("line", (line) => {
    const [, seed, survival, path] = line.split(" ");
    writeFileSync(path, store.imageAfterCut(Number(seed), Number(survival)));
    process.stdout.write(`cut ${seed}\n`);
  });
  return store;
}

function openStore(): Store {
  const readOnly = values["read-only"];
  const store = values["power-loss"]
    ? powerLossStore(Number(image))
    : /^\d+$/.test(image)
      ? new MemoryStore(Number(image))
      : openImage(image, { readOnly, lock: false, lanes: true });
  return values.slow === undefined ? store : new SlowStore(store, { longestDelay: Number(values.slow) });
}

function makeDevice(): DeviceType {
  const store = openStore();
  const queueSize = Number(values["queue-size"]);
  const queues = Number(values.queues);
  // The front end chooses the size of its rings: announce what fits into QEMU's, which have 128 entries.
  if (kind === "blk") return new VirtioBlkDevice(store, { queues, queueSize, segMax: Math.min(126, queueSize - 2) });
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(store));
  return new VirtioScsiDevice(bus, { requestQueues: queues, queueSize, segMax: Math.min(126, queueSize - 2) });
}

const device = makeDevice();
const runner = new EventLoopRunner(device, { events: nodeEvents });
const backEnd = new VhostUserBackEnd({
  device,
  runner,
  system: linuxBackEndSystem,
  offersConfig: kind === "blk",
  withoutProtocolFeatures: BigInt(values.without),
});
const server = new VhostUserServer(backEnd, values.connect ? { connect: place } : { listen: place }, {
  disconnected: (error) => process.stdout.write(`${error?.message ?? "gone"}\n`),
});
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.once("end", () => void server.close().then(() => process.exit(0)));
process.once("SIGTERM", () => void server.close().then(() => process.exit(0)));
