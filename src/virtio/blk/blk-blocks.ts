/** The blocks of a virtio-blk device, read and written through the driver half. Fits what partition readers want. */

import type { VirtioBlkDriver } from "./driver.js";
import { sectorSize } from "./protocol.js";

export class BlkBlocks {
  /** Bytes. */
  readonly blockSize: number;
  readonly blocks: number;
  readonly #driver: VirtioBlkDriver;

  /** The blocks that the device has now; a device that is resized needs a new object. */
  constructor(driver: VirtioBlkDriver) {
    this.#driver = driver;
    this.blockSize = driver.info.blockSize;
    this.blocks = Math.floor(driver.info.capacity / (this.blockSize / sectorSize));
  }

  /** `count` blocks from block `lba` on, in a new array. @throws BlkRequestError */
  async readBlocks(lba: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count * this.blockSize);
    await this.read(lba, bytes);
    return bytes;
  }

  /** Fills `bytes`, a whole number of blocks, from block `lba` on. @throws BlkRequestError */
  read(lba: number, bytes: Uint8Array): Promise<void> {
    return this.#driver.readSectors(this.#sectorOf(lba, bytes), bytes);
  }

  /** Writes `bytes`, a whole number of blocks, from block `lba` on. @throws BlkRequestError */
  write(lba: number, bytes: Uint8Array): Promise<void> {
    return this.#driver.writeSectors(this.#sectorOf(lba, bytes), bytes);
  }

  /** Makes what was written durable. @throws BlkRequestError */
  flush(): Promise<void> {
    return this.#driver.flushCache();
  }

  /** @throws RangeError when `bytes` is no whole number of blocks or goes past the end. */
  #sectorOf(lba: number, bytes: Uint8Array): number {
    const count = bytes.length / this.blockSize;
    if (!Number.isInteger(count)) throw new RangeError(`${bytes.length} bytes are no whole number of blocks`);
    if (!(lba >= 0 && lba + count <= this.blocks)) throw new RangeError(`${count} blocks at ${lba} of ${this.blocks}`);
    return lba * (this.blockSize / sectorSize);
  }
}
