/**
 * The Amiga 3000's SCSI: a WD33C93 with units behind it. Of its registers a driver finds what a probe needs (numbers and
 * values that can be written and read back); commands are carried out whole, by {@link A3000Scsi.start}, with the data
 * where the machine's memory has them.
 */
import { type RegisterWindow, windowOf } from "../../bytes/index.js";
import { type GuestMemory, Scatter } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import {
  describeCdb,
  type LogicalUnit,
  Nexus,
  type ScsiBus,
  ScsiStatus,
  ScsiTask,
  unitAddress,
} from "../../scsi/index.js";

/** A command for the controller. */
export interface A3000Command {
  readonly target: number;
  readonly cdb: Uint8Array;
  /** Physical address of the data. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  /** From the unit to memory. */
  readonly reading: boolean;
}

/** How a command ended: with its status, or undefined when nobody answered or the bus did something unexpected. */
export type A3000Ended = (status: number | undefined) => void;

/** Where its registers are. */
export const a3000ScsiArea = { base: 0x00dd_0000, size: 0x1_0000, select: 0x41, value: 0x43 } as const;

/** Registers; the numbers that are left out of the automatic step. */
const registers = { count: 32, command: 0x18, data: 0x19 } as const;
const selectionTimeout = 250;
const requestSense = 0x03;

/** What the controller is made of. */
export interface A3000ScsiOptions {
  readonly memory: GuestMemory;
  readonly bus: ScsiBus;
  readonly observer?: Observer | undefined;
}

/** The controller. */
export class A3000Scsi {
  readonly #options: A3000ScsiOptions;
  readonly #nexus = new Nexus("a3000 scsi");
  readonly #sense = new Map<number, Uint8Array>();
  readonly #values = new Uint8Array(registers.count);
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #selected = 0;
  #isClosed = false;
  /** The registers, from {@link a3000ScsiArea}'s base on. */
  readonly window: RegisterWindow = windowOf(
    (offset) => (offset === a3000ScsiArea.value ? this.#values[this.#step()] : 0xff),
    (offset, _width, value) => {
      if (offset === a3000ScsiArea.select) this.#selected = value & (registers.count - 1);
      else if (offset === a3000ScsiArea.value) this.#values[this.#step()] = value & 0xff;
    },
  );

  constructor(options: A3000ScsiOptions) {
    this.#options = options;
  }

  /** Starts a command; `ended` is called once, never from within. */
  start(command: A3000Command, ended: A3000Ended): void {
    const { observer, bus } = this.#options;
    const { target, cdb } = command;
    observer?.emit({
      category: "scsi",
      source: `a3000 target ${target}`,
      name: "command",
      fields: { cdb: describeCdb(cdb) },
    });
    const lun = cdb[1] >> 5;
    const unit = target > 6 || bus.target(target) === undefined ? undefined : bus.lookup(unitAddress(target, lun));
    const tell = (status: number | undefined) => {
      if (!this.#isClosed) ended(status);
    };
    if (unit === undefined) this.#later(selectionTimeout, () => tell(undefined));
    else void this.#carryOut(command, lun, unit).then(tell, () => tell(undefined));
  }

  /** Nothing is told any more. */
  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  async #carryOut(command: A3000Command, lun: number, unit: LogicalUnit): Promise<number | undefined> {
    const { target, cdb, address, length, reading } = command;
    const place = target * 8 + lun;
    const data = new Scatter();
    const region = length === 0 ? undefined : this.#options.memory.findRange(address, length);
    if (region !== undefined) data.push(region, address - region.base, length);
    else if (length > 0) return undefined;
    const task = new ScsiTask();
    task.cdb.set(cdb);
    if (cdb[0] >> 5 <= 2) task.cdb[1] &= 0x1f;
    task.begin(this.#nexus, reading ? new Scatter() : data, reading ? data : new Scatter());
    unit.prepare(task);
    const sense = this.#sense.get(place);
    this.#sense.delete(place);
    if (cdb[0] === requestSense && sense !== undefined) {
      data.write(sense.subarray(0, Math.min(length, cdb[4], sense.length)));
      return ScsiStatus.Good;
    }
    // A unit that wants more data than there is, or in the other direction, finds a phase that nobody serves.
    if (task.expectedIn > task.dataIn.byteLength || task.expectedOut > task.dataOut.byteLength) return undefined;
    await unit.execute(task);
    if (task.senseLength > 0) this.#sense.set(place, task.sense.slice(0, task.senseLength));
    return task.status;
  }

  /** The register that is selected; the selection moves on. */
  #step(): number {
    const now = this.#selected;
    if (now !== registers.command && now !== registers.data) this.#selected = (now + 1) % registers.count;
    return now;
  }

  #later(milliseconds: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, milliseconds);
    this.#timers.add(timer);
  }
}
