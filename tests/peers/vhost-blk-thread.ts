/** A thread of {@link serveBlkInThreads}: a disk of memory or a file, or one that cannot be opened, or that ends its thread. */
import { parentPort, workerData } from "node:worker_threads";
import type { Scatter } from "../../src/memory/index.js";
import { serveQueueThread } from "../../src/platform/vhost-user/index.js";
import { openImage } from "../../src/storage/file/index.js";
import { type Answer, MemoryStore } from "../../src/storage/index.js";
import { VirtioBlkDevice } from "../../src/virtio/index.js";

/** What its owner says. */
export interface BlkThreadData {
  readonly queues?: number;
  /** The device cannot be opened: why. */
  readonly unfit?: string;
  /** A file that is served through a mapping, instead of memory. */
  readonly image?: string;
  /** Reading at this byte throws where nobody catches. */
  readonly fatalPosition?: number;
  /** Reading at this byte holds the thread up until its owner opens the gate. */
  readonly heldPosition?: number;
  /** An `Int32Array`: closed while 0. */
  readonly gate?: SharedArrayBuffer;
  /** An `Int32Array`: flushes of all threads. */
  readonly flushes?: SharedArrayBuffer;
}

const { queues = 1, unfit, image, fatalPosition, heldPosition, gate, flushes } = workerData as BlkThreadData;

/** Milliseconds. */
const longestHold = 10_000;

class TroubledStore extends MemoryStore {
  override read(position: number, target: Scatter, length: number): Answer {
    if (position === fatalPosition) {
      setImmediate(() => {
        throw new Error("nobody catches this\nand nobody reads on");
      });
      return new Promise(() => {});
    }
    if (position === heldPosition && gate !== undefined) Atomics.wait(new Int32Array(gate), 0, 0, longestHold);
    return super.read(position, target, length);
  }

  override flush(): Answer {
    if (flushes !== undefined) Atomics.add(new Int32Array(flushes), 0, 1);
    return super.flush();
  }
}

if (parentPort !== null) {
  await serveQueueThread(parentPort, () => {
    if (unfit !== undefined) throw new Error(unfit);
    const store = image === undefined ? new TroubledStore(1 << 20) : openImage(image, { lanes: true, mapped: true });
    const device = new VirtioBlkDevice(store, { queues, segMax: 126 });
    const close = async () => {
      device.close();
      await store.close();
    };
    return { device, close };
  });
}
