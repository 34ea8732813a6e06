/** A thread of `ringside serve`: has the same virtio-blk device as the others, and serves the queues it is given. */
import { parentPort, workerData } from "node:worker_threads";
import { serveQueueThread } from "../platform/vhost-user/index.js";
import { type BlkThreadData, openBlkThread } from "./served-device.js";

const data = workerData as BlkThreadData;
if (parentPort !== null) await serveQueueThread(parentPort, () => openBlkThread(data), { spin: data.spin });
