import type { ViolationCode } from "../../errors/index.js";
import type { DeviceCore } from "../device-core.js";
import { ringFeatures } from "../features.js";
import type { VersionRegisters } from "./device.js";
import { mmioRegisters as r } from "./registers.js";

/** A region of memory that a device shares with its driver (virtio 1.2 §2.10). */
export interface SharedMemoryRegion {
  /** Guest-physical address. */
  readonly base: number;
  /** Bytes. */
  readonly length: number;
}

const word32 = 0x1_0000_0000;
/** Length and base of a region that does not exist (virtio 1.2 §4.2.2). */
const noRegion = 0xffff_ffff;

/** The three addresses of a queue: low and high register, and the field they make. */
const addressRegisters = [
  { low: r.queueDescriptorsLow.offset, high: r.queueDescriptorsHigh.offset, field: "descriptors" },
  { low: r.queueAvailableLow.offset, high: r.queueAvailableHigh.offset, field: "available" },
  { low: r.queueUsedLow.offset, high: r.queueUsedHigh.offset, field: "used" },
] as const;

/** Queue set-up of version 2, shared memory and configuration generation (virtio 1.2 §4.2.2; QueueReset). */
export class Version2Registers implements VersionRegisters {
  readonly #core: DeviceCore;
  readonly #sharedMemory: Readonly<Record<number, SharedMemoryRegion>>;
  #select = 0;
  #region = 0;

  constructor(core: DeviceCore, sharedMemory: Readonly<Record<number, SharedMemoryRegion>>) {
    this.#core = core;
    this.#sharedMemory = sharedMemory;
  }

  read(offset: number): number {
    const queue = this.#core.queues[this.#select];
    const region = this.#sharedMemory[this.#region];
    switch (offset) {
      case r.queueSizeMax.offset:
        return queue?.maxSize ?? 0;
      case r.queueReady.offset:
        return queue?.enabled ? 1 : 0;
      case r.sharedMemoryLengthLow.offset:
        return region === undefined ? noRegion : region.length % word32;
      case r.sharedMemoryLengthHigh.offset:
        return region === undefined ? noRegion : Math.floor(region.length / word32);
      case r.sharedMemoryBaseLow.offset:
        return region === undefined ? noRegion : region.base % word32;
      case r.sharedMemoryBaseHigh.offset:
        return region === undefined ? noRegion : Math.floor(region.base / word32);
      case r.configGeneration.offset:
        return this.#core.generation;
    }
    // QueueReset: a queue is reset within the write, so there is never one going on.
    return 0;
  }

  write(offset: number, value: number): ViolationCode | undefined {
    if (offset === r.queueSelect.offset) {
      this.#select = value;
      return undefined;
    }
    if (offset === r.sharedMemorySelect.offset) {
      this.#region = value;
      return undefined;
    }
    const core = this.#core;
    const queue = core.queues[this.#select];
    if (queue === undefined) return "register-value";
    switch (offset) {
      case r.queueReady.offset:
        if (value > 1) return "register-value";
        if (value === 1) core.enableQueue(this.#select, false);
        else core.disableQueue(this.#select);
        return undefined;
      case r.queueReset.offset:
        if (value !== 1) return "register-value";
        if (!core.has(ringFeatures.RING_RESET)) return "register-order";
        core.resetQueue(this.#select);
        return undefined;
    }
    // mmio-driver-10: sizes and addresses stand while the queue is in use.
    if (queue.enabled) return "register-order";
    if (offset === r.queueSize.offset) {
      if (!core.takesSize(this.#select, value)) return "register-value";
      queue.size = value;
      return undefined;
    }
    for (const { low, high, field } of addressRegisters) {
      const old = queue.addresses[field];
      if (offset === low) queue.addresses[field] = old - (old % word32) + value;
      else if (offset === high) queue.addresses[field] = value * word32 + (old % word32);
    }
    return undefined;
  }

  reset(): void {
    this.#select = 0;
    this.#region = 0;
  }
}
