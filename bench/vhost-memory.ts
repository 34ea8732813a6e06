/**
 * `node vhost-memory.js SOCKET QUEUES`: a disk of memory, 1 GiB with something everywhere, served as `ringside serve`
 * serves a file: what is left of a request when its bytes are a copy away.
 */

import { openPlane } from "../src/cli/serve-plane.js";
import { Scatter } from "../src/memory/index.js";
import { linuxBackEndSystem, VhostUserServer } from "../src/platform/vhost-user/index.js";
import { MemoryStore, Tally } from "../src/storage/index.js";
import { VhostUserBackEnd } from "../src/transport/index.js";
import { VirtioBlkDevice } from "../src/virtio/index.js";

const size = 1 << 30;
const step = 1 << 20;
/** As `serve` looks after work when nothing else is said, in microseconds. */
const spin = 20;

const [, , listen, queues] = process.argv;
const store = new MemoryStore(size);
const block = Scatter.of(new Uint8Array(step).map((_, index) => index * 7));
for (let at = 0; at < size; at += step) await store.write(at, block, step);
const device = new VirtioBlkDevice(store, { queues: Number(queues), segMax: 126 });
const served = { device, close: async () => device.close() };
const { runner } = await openPlane(served, { threads: 0, spin, tally: new Tally() });
const server = new VhostUserServer(new VhostUserBackEnd({ device, runner, system: linuxBackEndSystem }), { listen });
process.once("SIGTERM", () => void server.close().then(() => process.exit(0)));
