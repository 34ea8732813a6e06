import type { ViolationCode } from "../../errors/index.js";
import { isQueueSize, layoutAt, legacyLayout } from "../../virtqueue/index.js";
import type { DeviceCore } from "../device-core.js";
import type { VersionRegisters } from "./device.js";
import { mmioLegacyRegisters as r } from "./registers.js";

/** Where the used ring is aligned when the driver does not say: as QEMU has it, for drivers that never write it. */
const defaultAlign = 4096;
/** Largest alignment and page that still give addresses below 2^53 with a 32-bit page number. */
const largestPage = 1 << 20;

function isPowerOfTwo(value: number): boolean {
  return value > 0 && value <= largestPage && (value & (value - 1)) === 0;
}

/** Queue set-up of version 1: page size, alignment, one page number a queue (0.9.5 appendix X). */
export class Version1Registers implements VersionRegisters {
  readonly #core: DeviceCore;
  readonly #aligns: number[];
  /** Page numbers as written; 0 for a queue that is not in use. */
  readonly #pages: number[];
  /** Survives a reset: drivers of the field write it once, before their reset. */
  #pageSize = 0;
  #select = 0;

  constructor(core: DeviceCore) {
    this.#core = core;
    this.#aligns = core.queues.map(() => defaultAlign);
    this.#pages = core.queues.map(() => 0);
  }

  read(offset: number): number {
    if (offset === r.queueSizeMax.offset) return this.#core.queues[this.#select]?.maxSize ?? 0;
    if (offset === r.queuePage.offset) return this.#pages[this.#select] ?? 0;
    return 0;
  }

  write(offset: number, value: number): ViolationCode | undefined {
    if (offset === r.queueSelect.offset) {
      this.#select = value;
      return undefined;
    }
    if (offset === r.guestPageSize.offset) {
      if (!isPowerOfTwo(value)) return "register-value";
      this.#pageSize = value;
      return undefined;
    }
    const queue = this.#core.queues[this.#select];
    if (queue === undefined) return "register-value";
    if (offset === r.queuePage.offset) return this.#setPage(value);
    if (queue.enabled) return "register-order";
    if (offset === r.queueSize.offset) {
      if (!isQueueSize(value) || value > queue.maxSize) return "register-value";
      queue.size = value;
    } else if (offset === r.queueAlign.offset) {
      if (!isPowerOfTwo(value)) return "register-value";
      this.#aligns[this.#select] = value;
    }
    return undefined;
  }

  reset(): void {
    this.#select = 0;
    this.#aligns.fill(defaultAlign);
    this.#pages.fill(0);
  }

  #setPage(value: number): ViolationCode | undefined {
    const core = this.#core;
    const queue = core.queues[this.#select];
    if (value === 0) {
      core.disableQueue(this.#select);
      this.#pages[this.#select] = 0;
      return undefined;
    }
    if (queue.enabled || this.#pageSize === 0) return "register-order";
    queue.addresses = layoutAt(legacyLayout(queue.size, this.#aligns[this.#select]), value * this.#pageSize);
    this.#pages[this.#select] = value;
    core.enableQueue(this.#select, true);
    return undefined;
  }
}
