/** The blocks of a unit, read and written through an adapter's driver. Fits what partition readers want of a disk. */
import { DeviceError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import * as cdb from "../cdb.js";
import type { UnitAddress } from "../lun-address.js";
import type { DiscoveredUnit } from "./discover.js";
import type { ScsiInitiator } from "./initiator.js";
import { sendCommand } from "./send-command.js";

/** Bytes of one command, so that buffers stay small. */
const largestCommand = 1024 * 1024;

export class UnitBlocks {
  readonly address: UnitAddress;
  /** Bytes. */
  readonly blockSize: number;
  readonly blocks: number;
  /** Blocks that one command moves at most; longer transfers become several. */
  readonly commandBlocks: number;
  readonly #driver: ScsiInitiator;
  readonly #observer: Observer | undefined;

  /** @throws RangeError when the unit has no capacity. */
  constructor(driver: ScsiInitiator, unit: DiscoveredUnit, options: { observer?: Observer | undefined } = {}) {
    const { capacity, address } = unit;
    if (capacity === undefined) throw new RangeError(`target ${unit.target} lun ${unit.lun} holds no blocks`);
    this.address = address;
    this.blockSize = capacity.blockSize;
    this.blocks = capacity.blocks;
    const wanted = Math.max(1, Math.floor(largestCommand / capacity.blockSize));
    this.commandBlocks = Math.min(wanted, unit.maximumTransferBlocks, 0xffff);
    this.#driver = driver;
    this.#observer = options.observer;
  }

  /** `count` blocks from block `lba` on, in a new array. @throws ScsiCommandError */
  async readBlocks(lba: number, count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count * this.blockSize);
    await this.read(lba, bytes);
    return bytes;
  }

  /** Fills `bytes`, a whole number of blocks, from block `lba` on. @throws ScsiCommandError */
  async read(lba: number, bytes: Uint8Array): Promise<void> {
    for (const { at, blocks, part } of this.#commands(lba, bytes)) {
      const result = await sendCommand(this.#driver, this.address, cdb.read(at, blocks), {
        dataIn: part,
        observer: this.#observer,
      });
      if (result.residual > 0)
        throw new DeviceError(`a read of ${blocks} blocks at ${at} came ${result.residual} short`);
    }
  }

  /** Writes `bytes`, a whole number of blocks, from block `lba` on. @throws ScsiCommandError */
  async write(lba: number, bytes: Uint8Array): Promise<void> {
    for (const { at, blocks, part } of this.#commands(lba, bytes)) {
      const result = await sendCommand(this.#driver, this.address, cdb.write(at, blocks), {
        dataOut: part,
        observer: this.#observer,
      });
      if (result.residual > 0)
        throw new DeviceError(`a write of ${blocks} blocks at ${at} took ${result.residual} less`);
    }
  }

  /** Makes what was written durable. @throws ScsiCommandError */
  async flush(): Promise<void> {
    await sendCommand(this.#driver, this.address, cdb.synchronizeCache10(), { observer: this.#observer });
  }

  *#commands(lba: number, bytes: Uint8Array): Generator<{ at: number; blocks: number; part: Uint8Array }> {
    const total = bytes.length / this.blockSize;
    if (!Number.isInteger(total)) throw new RangeError(`${bytes.length} bytes are no whole number of blocks`);
    if (lba < 0 || lba + total > this.blocks) throw new RangeError(`${total} blocks at ${lba} of ${this.blocks}`);
    for (let done = 0; done < total; done += this.commandBlocks) {
      const blocks = Math.min(this.commandBlocks, total - done);
      const part = bytes.subarray(done * this.blockSize, (done + blocks) * this.blockSize);
      yield { at: lba + done, blocks, part };
    }
  }
}
