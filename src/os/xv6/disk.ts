/**
 * The kernel's disk driver: one block of 1024 bytes a request, three descriptors each. Who asks sleeps until the
 * interrupt wakes it up; who finds no descriptors sleeps until some are free.
 */
import { DeviceError } from "../../errors/index.js";
import type { DmaBlock } from "../../memory/index.js";
import { BlkStatus, BlkType, blkFeatures, blkHeader, blkStatusName, sectorSize } from "../../virtio/index.js";
import { ChainPieces } from "../../virtqueue/index.js";
import { type DiskLink, openDiskLink, type Xv6Hardware } from "./disk-link.js";
import { Xv6Panic } from "./panic.js";
import { type Xv6Profile, xv6RingSize } from "./profile.js";
import { SleepChannel } from "./sleep-channel.js";

/** Bytes of the kernel's blocks. */
export const xv6DiskBlock = 1024;
/** A request that ended keeps this status until the device writes another. */
const noStatus = 0xff;
/** Header, data, status. */
const descriptorsPerRequest = 3;

/** Where a request's header and status are, and who waits for it. */
interface Slot {
  readonly pieces: ChainPieces;
  readonly address: number;
  /** Offset in the slots' memory. */
  readonly offset: number;
  readonly done: SleepChannel;
  isDone: boolean;
}

/** The kernel's disk. */
export class Xv6Disk {
  readonly profile: Xv6Profile;
  readonly #hardware: Xv6Hardware;
  readonly #timeout: number;
  readonly #memory: DmaBlock;
  readonly #free: Slot[] = [];
  readonly #freed = new SleepChannel();
  readonly #busy = new Set<Slot>();
  /** Set by `open`, before anybody has the disk. */
  #link!: DiskLink<Slot>;
  #failure: Error | undefined;

  private constructor(profile: Xv6Profile, hardware: Xv6Hardware, timeout: number) {
    const slots = Math.floor(xv6RingSize / descriptorsPerRequest);
    const slotSize = 32;
    this.profile = profile;
    this.#hardware = hardware;
    this.#timeout = timeout;
    this.#memory = hardware.dma.allocate(slots * slotSize, slotSize);
    for (let index = 0; index < slots; index++) {
      const place = index * slotSize;
      this.#free.push({
        pieces: new ChainPieces(),
        address: this.#memory.address + place,
        offset: this.#memory.offset + place,
        done: new SleepChannel(),
        isDone: false,
      });
    }
  }

  /**
   * Brings the disk up. @param timeout how long a request may take, milliseconds.
   * @throws Xv6Panic, ProtocolError, UnsupportedError
   */
  static async open(profile: Xv6Profile, hardware: Xv6Hardware, timeout = 10_000): Promise<Xv6Disk> {
    const disk = new Xv6Disk(profile, hardware, timeout);
    try {
      disk.#link = await openDiskLink<Slot>(profile, hardware, () => disk.#interrupt());
    } catch (error) {
      hardware.dma.free(disk.#memory);
      throw error;
    }
    return disk;
  }

  /** Accepted features. */
  get features(): bigint {
    return this.#link.features;
  }

  /** Whole blocks of the disk, where the profile looks. */
  get blocks(): number | undefined {
    const { capacity } = this.#link;
    return capacity === undefined ? undefined : Math.floor(capacity / (xv6DiskBlock / sectorSize));
  }

  /**
   * Reads or writes the block in `data`, kernel memory that the device reaches.
   * @throws DeviceError when the request failed (extended), Xv6Panic when that ends the kernel (strict), and what the
   *   disk failed with as a whole.
   */
  async transfer(block: number, data: DmaBlock, write: boolean): Promise<void> {
    const { blocks } = this;
    if (blocks !== undefined && block >= blocks) throw new RangeError(`block ${block} of ${blocks}`);
    if (write && this.#has(blkFeatures.RO)) throw new DeviceError("the disk is read-only");
    const sector = block * (xv6DiskBlock / sectorSize);
    await this.#request(write ? BlkType.Out : BlkType.In, sector, data, `block ${block}`);
    if (write && this.profile.flushes && this.#has(blkFeatures.FLUSH)) {
      await this.#request(BlkType.Flush, 0, undefined, "flush");
    }
  }

  /** Looks for what has ended, where no interrupt says so. */
  poll(): void {
    if (this.#failure === undefined) this.#link.poll();
  }

  /** Resets the device and fails what waits. @throws ProtocolError when it does not reset: it keeps its memory then. */
  async close(): Promise<void> {
    this.#fail(new DeviceError("the disk was closed"));
    await this.#link.close();
    this.#hardware.dma.free(this.#memory);
  }

  #has(feature: number): boolean {
    return ((this.#link.features >> BigInt(feature)) & 1n) === 1n;
  }

  async #request(type: number, sector: number, data: DmaBlock | undefined, what: string): Promise<void> {
    const slot = await this.#takeSlot();
    const { pieces, offset, address } = slot;
    const { view, bytes } = this.#memory.region;
    blkHeader.write(view, offset, "little", { type, reserved: 0, sector: BigInt(sector) });
    bytes[offset + blkHeader.size] = noStatus;
    pieces.clear();
    pieces.addReadable(address, blkHeader.size);
    if (data !== undefined && type === BlkType.Out) pieces.addReadable(data.address, xv6DiskBlock);
    if (data !== undefined && type === BlkType.In) pieces.addWritable(data.address, xv6DiskBlock);
    pieces.addWritable(address + blkHeader.size, 1);
    slot.isDone = false;
    this.#busy.add(slot);
    this.#link.queue.add(pieces, slot);
    this.#link.kick();
    // Who fails keeps its slot: until a reset the device may still write to it.
    await this.#sleepUntilDone(slot);
    const status = bytes[offset + blkHeader.size];
    this.#free.push(slot);
    this.#freed.wakeup();
    if (status !== BlkStatus.Ok) throw new DeviceError(`${what} failed: ${blkStatusName(status)}`);
  }

  async #takeSlot(): Promise<Slot> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const slot = this.#free.pop();
      if (slot !== undefined) return slot;
      await this.#freed.sleep();
    }
  }

  async #sleepUntilDone(slot: Slot): Promise<void> {
    const timer = setTimeout(() => {
      this.#fail(new DeviceError(`the disk did not answer within ${this.#timeout} ms`));
    }, this.#timeout);
    try {
      while (!slot.isDone) {
        if (this.#failure !== undefined) throw this.#failure;
        await slot.done.sleep();
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #interrupt(): void {
    // Nothing is under way before `open` has ended, whatever the line says.
    if (this.#failure !== undefined || this.#link === undefined) return;
    try {
      do {
        for (let slot = this.#link.queue.reap(); slot !== undefined; slot = this.#link.queue.reap()) {
          this.#end(slot);
        }
      } while (!this.#link.queue.enableInterrupts());
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #end(slot: Slot): void {
    const status = this.#memory.region.bytes[slot.offset + blkHeader.size];
    if (status !== BlkStatus.Ok && this.profile.onTrouble === "panic") throw new Xv6Panic("virtio_disk_intr status");
    this.#busy.delete(slot);
    slot.isDone = true;
    slot.done.wakeup();
  }

  /** The disk as a whole is of no use any more. */
  #fail(error: Error): void {
    this.#failure ??= error;
    for (const slot of this.#busy) slot.done.fail(this.#failure);
    this.#busy.clear();
    this.#freed.fail(this.#failure);
  }
}
