/** `--os xv6`: the teaching kernel's disk driver and buffer cache on the first virtio-mmio disk. */
import { statSync } from "node:fs";
import { DeviceError } from "../errors/index.js";
import { type FoundMmioAdapter, findVirtioAdapters, type Machine, mmioParts } from "../machine/index.js";
import { catXv6, listXv6, Xv6Kernel, Xv6Panic, xv6DiskBlock } from "../os/index.js";
import { featureNames, ringFeatures } from "../transport/index.js";
import { blkFeatures, virtioBlkId } from "../virtio/index.js";
import type { DrivenBlocks, DrivenSession } from "./driven.js";
import { UsageError, WorkFailed } from "./errors.js";
import type { FaceOptions } from "./faces.js";
import { Pump } from "./pump.js";

/** Blocks through the buffer cache. */
class CacheBlocks implements DrivenBlocks {
  readonly blockSize = xv6DiskBlock;
  readonly blocks: number;
  readonly #kernel: Xv6Kernel;

  constructor(kernel: Xv6Kernel, blocks: number) {
    this.#kernel = kernel;
    this.blocks = blocks;
  }

  async readBlocks(lba: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count * xv6DiskBlock);
    await this.read(lba, bytes);
    return bytes;
  }

  async read(lba: number, bytes: Uint8Array): Promise<void> {
    const { cache } = this.#kernel;
    for (let at = 0; at < bytes.length; at += xv6DiskBlock) {
      const buffer = await cache.read(lba + at / xv6DiskBlock);
      bytes.set(buffer.data, at);
      cache.release(buffer);
    }
  }

  async write(lba: number, bytes: Uint8Array): Promise<void> {
    const { cache } = this.#kernel;
    for (let at = 0; at < bytes.length; at += xv6DiskBlock) {
      const buffer = await cache.read(lba + at / xv6DiskBlock);
      try {
        buffer.data.set(bytes.subarray(at, at + xv6DiskBlock));
        await cache.write(buffer);
      } finally {
        cache.release(buffer);
      }
    }
  }

  /** The kernel writes through. */
  async flush(): Promise<void> {}
}

/** Starts the kernel's disk. @throws Xv6Panic, WorkFailed, UsageError */
export async function driveXv6(machine: Machine, options: FaceOptions): Promise<DrivenSession> {
  const adapter = findVirtioAdapters(machine).find(
    (found): found is FoundMmioAdapter => found.on === "mmio" && found.deviceId === virtioBlkId,
  );
  if (adapter === undefined) throw new WorkFailed(`there is no virtio-mmio disk on ${machine.board.name}`);
  const parts = mmioParts(machine, adapter, { prefer: options.interrupts, observer: options.observer });
  const pump = new Pump(machine);
  let kernel: Xv6Kernel;
  try {
    kernel = await Xv6Kernel.start(parts, { profile: options.profile });
  } catch (error) {
    await pump.close();
    throw error;
  }
  const { disk } = kernel;
  const mustPoll = options.interrupts === "none";
  pump.add({ mustPoll, inFlight: 1, poll: () => disk.poll(), fail: () => void kernel.close().catch(() => {}) });
  const [image] = options.images;
  const close = async () => {
    try {
      await kernel.close();
    } finally {
      await pump.close();
    }
  };
  try {
    const unit = {
      image,
      ...{ target: 0, lun: 0, vendor: "", product: "", revision: "", serial: undefined },
      physicalBlockSize: xv6DiskBlock,
      // The strict driver does not look at the capacity.
      blocks: new CacheBlocks(kernel, disk.blocks ?? wholeBlocks(image.path)),
      isRefusal: (error: unknown) => error instanceof DeviceError || error instanceof Xv6Panic,
    };
    const adapters = [
      {
        kind: "virtio-blk",
        transport: "mmio",
        place: adapter.place,
        interrupts: mustPoll ? ("none" as const) : ("line" as const),
        features: featureNames(disk.features, blkFeatures, ringFeatures),
        units: [unit],
      },
    ];
    const files = {
      list: (path: string) => listXv6(kernel, path),
      content: (path: string) => catXv6(kernel, path),
    };
    return { adapters, files, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function wholeBlocks(path: string): number {
  const blocks = Math.floor(statSync(path).size / xv6DiskBlock);
  if (blocks > 0) return blocks;
  throw new UsageError(`${path} has no block of ${xv6DiskBlock} bytes: give an image file, or --profile extended`);
}
