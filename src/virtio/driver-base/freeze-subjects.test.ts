/** The drivers of request queues that freezes are tested with, by what both can do; no tests of its own. */
import assert from "node:assert/strict";
import { cdb, unitAddress } from "../../scsi/index.js";
import {
  type BlkLoopback,
  createBlkLoopback,
  createLoopback,
  type Loopback,
  type LoopbackMachineOptions,
} from "../../testing/index.js";

/** The only one of the SCSI adapter. */
export const unit = unitAddress(0, 0);
/** Bytes. */
export const blockSize = 512;

/** What the device does with requests that come. */
type Manner = "answers" | "late" | "never";

/** What it is made of. */
export interface SubjectOptions extends LoopbackMachineOptions {
  readonly manner?: Manner;
  readonly timeout?: number;
}

/** How a device is with requests, and how many it was given. */
class Conduct {
  manner: Manner;
  seen = 0;

  constructor(manner: Manner = "answers") {
    this.manner = manner;
  }

  /** What becomes of a request; the same by both kinds of fault. */
  next() {
    this.seen++;
    if (this.manner === "answers") return undefined;
    return this.manner === "never" ? ({ kind: "never" } as const) : ({ kind: "delay", milliseconds: 15 } as const);
  }
}

/** A driver and its device. */
export interface Subject extends Conduct {
  readonly loop: Loopback | BlkLoopback;
  read(block: number, bytes: Uint8Array, options?: Patience): Promise<unknown>;
  write(block: number, bytes: Uint8Array, options?: Patience): Promise<unknown>;
}

interface Patience {
  readonly queue?: number;
  readonly timeout?: number;
  readonly signal?: AbortSignal;
}

const queueSize = 16;

async function openBlk({ manner, timeout = 5000, ...rest }: SubjectOptions): Promise<Subject> {
  const conduct = new Conduct(manner);
  const loop = await createBlkLoopback({
    ...{ ...rest, faults: { blockRequest: () => conduct.next() } },
    device: { queues: 2, queueSize },
    driver: { queues: 2, timeout, grace: 30 },
  });
  return Object.assign(conduct, {
    loop,
    read: (block: number, bytes: Uint8Array, how = {}) => loop.driver.readSectors(block, bytes, how),
    write: (block: number, bytes: Uint8Array, how = {}) => loop.driver.writeSectors(block, bytes, how),
  });
}

async function openScsi({ manner, timeout = 5000, ...rest }: SubjectOptions): Promise<Subject> {
  const conduct = new Conduct(manner);
  const loop = await createLoopback({
    ...{ ...rest, faults: { command: () => conduct.next() } },
    device: { requestQueues: 2, queueSize },
    driver: { requestQueues: 2, timeout },
  });
  const send = async (command: Uint8Array, data: { dataIn?: Uint8Array; dataOut?: Uint8Array }) => {
    const { response, status } = await loop.driver.execute(unit, command, data);
    assert.deepEqual([response, status], [0, 0]);
  };
  return Object.assign(conduct, {
    loop,
    read: (block: number, dataIn: Uint8Array, how = {}) =>
      send(cdb.read10(block, dataIn.length / blockSize), { dataIn, ...how }),
    write: (block: number, dataOut: Uint8Array, how = {}) =>
      send(cdb.write10(block, dataOut.length / blockSize), { dataOut, ...how }),
  });
}

/** Both drivers. */
export const subjects: readonly (readonly [string, (options: SubjectOptions) => Promise<Subject>])[] = [
  ["virtio-blk", openBlk],
  ["virtio-scsi", openScsi],
];

/** How each promise ended: `fulfilled`, or the message of its error. Every promise ends once by itself; a hang shows as one. */
export async function endings(promises: readonly Promise<unknown>[]): Promise<string[]> {
  const all = await Promise.allSettled(promises);
  return all.map((one) => (one.status === "fulfilled" ? "fulfilled" : (one.reason as Error).message));
}

/** Each kind of ending once. */
export const kinds = (all: readonly string[]) => [...new Set(all)];

/** Waits, milliseconds. */
export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
