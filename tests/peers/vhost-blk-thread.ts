/** A thread of {@link serveBlkInThreads}: a disk of memory, or one that cannot be opened, or that ends its thread. */
import { parentPort, workerData } from "node:worker_threads";
import type { Scatter } from "../../src/memory/index.js";
import { serveQueueThread } from "../../src/platform/vhost-user/index.js";
import { type Answer, MemoryStore } from "../../src/storage/index.js";
import { VirtioBlkDevice } from "../../src/virtio/index.js";

/** What its owner says. */
export interface BlkThreadData {
  readonly queues?: number;
  /** The device cannot be opened: why. */
  readonly unfit?: string;
  /** Reading at this byte throws where nobody catches. */
  readonly fatalPosition?: number;
}

const { queues = 1, unfit, fatalPosition } = workerData as BlkThreadData;

class FatalStore extends MemoryStore {
  override read(position: number, target: Scatter, length: number): Answer {
    if (position === fatalPosition) {
      setImmediate(() => {
        throw new Error("nobody catches this\nand nobody reads on");
      });
      return new Promise(() => {});
    }
    return super.read(position, target, length);
  }
}

if (parentPort !== null) {
  await serveQueueThread(parentPort, () => {
    if (unfit !== undefined) throw new Error(unfit);
    const device = new VirtioBlkDevice(new FatalStore(1 << 20), { queues, segMax: 126 });
    return { device, close: async () => device.close() };
  });
}
