/** What the driver's tests share: a machine with our own A4091, disks on it with known content, and the driver. */
import assert from "node:assert/strict";
import { a4000 } from "../../machine/index.js";
import { Scatter } from "../../memory/index.js";
import type { FaultHook } from "../../observe/index.js";
import { type EmbeddedA4091Options, EmbeddedMachine } from "../../platform/embedded/index.js";
import { cdb, Disk, ScsiBus, unitAddress } from "../../scsi/index.js";
import { MemoryStore, type Store } from "../../storage/index.js";
import { PoisoningDma, type PoisoningDmaOptions } from "../../testing/index.js";
import { type A4091Board, type AdapterPlatform, type HostAdapterOptions, NcrHostAdapter } from "../index.js";

export const blockSize = 512;

/** Bytes that tell where they belong. */
export function content(target: number, blocks: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(blocks * blockSize).map((_, index) => (index * 7 + (index >> 9) * 3 + target * 31) & 0xff);
}

export interface AdapterRigOptions {
  driver?: HostAdapterOptions;
  /** Targets with a disk at LUN 0. Default 0, 3 and 6. */
  disks?: readonly number[];
  /** More units of target 3. */
  luns?: number;
  blocks?: number;
  target?: EmbeddedA4091Options["target"];
  chip?: EmbeddedA4091Options["chip"];
  faults?: FaultHook;
  wrapStore?: (store: MemoryStore) => Store;
  /** Looks after who touches which memory when. Default true. */
  poisons?: boolean;
  poisoning?: PoisoningDmaOptions;
  ramSize?: number;
}

export interface AdapterRig {
  readonly machine: EmbeddedMachine;
  readonly bus: ScsiBus;
  readonly board: A4091Board;
  readonly dma: PoisoningDma | undefined;
  readonly adapter: NcrHostAdapter;
  /** Closes everything; nothing may be lent or allocated any more. */
  close(): Promise<void>;
}

/** A driver on a board with disks. Times are short. */
export async function openRig(options: AdapterRigOptions = {}): Promise<AdapterRig> {
  const { disks = [0, 3, 6], blocks = 2048, luns = 1, poisons = true } = options;
  const machine = new EmbeddedMachine(a4000, {
    ...(options.faults === undefined ? {} : { faults: options.faults }),
    ...(options.ramSize === undefined ? {} : { ramSize: options.ramSize }),
  });
  const bus = new ScsiBus();
  for (const id of disks) {
    for (let lun = 0; lun < (id === 3 ? luns : 1); lun++) {
      const memory = new MemoryStore(blocks * blockSize);
      memory.write(0, Scatter.of(content(id, blocks)), blocks * blockSize);
      const store = options.wrapStore?.(memory) ?? memory;
      bus.attach(id, lun, new Disk(store, { powerOnAttention: false, serial: `${id}/${lun}` }));
    }
  }
  const board = machine.plugA4091(bus, {
    dip: 0x7f,
    target: { ...(options.faults === undefined ? {} : { faults: options.faults }), ...options.target },
    chip: {
      selectionTimeout: 1,
      ...(options.faults === undefined ? {} : { faults: options.faults }),
      ...options.chip,
    },
  });
  const dma = poisons ? new PoisoningDma(machine.dma, options.poisoning) : undefined;
  const platform: AdapterPlatform = {
    ...{ memorySpace: machine.memorySpace, interrupts: machine.interrupts, board: machine.board },
    dma: dma ?? machine.dma,
  };
  const times = { busSettle: 1, watch: 10, grace: 50 };
  const adapter = await NcrHostAdapter.openFirst(platform, { ...times, ...options.driver });
  const close = async () => {
    await adapter.close();
    dma?.assertNothingAllocated();
    await machine.close();
  };
  return { machine, bus, board, dma, adapter, close };
}

/** Where most tests send their commands. */
export const unit = unitAddress(3, 0);
export const read = (blocks: number, lba = 0) => ({
  command: cdb.read10(lba, blocks),
  room: new Uint8Array(blocks * blockSize),
});

export async function withRig(options: AdapterRigOptions, work: (rig: AdapterRig) => Promise<void>): Promise<void> {
  const rig = await openRig(options);
  await work(rig);
  await rig.close();
}

/** Reads and compares; says how it ended otherwise. */
export async function readRight(adapter: NcrHostAdapter, blocks = 4, lba = 7, address = unit): Promise<void> {
  const { command, room } = read(blocks, lba);
  const answer = await adapter.execute(address, command, { dataIn: room });
  assert.deepEqual([answer.response, answer.status, answer.residual], [0, 0, 0]);
  assert.deepEqual(room, content(address >>> 16, 2048).slice(lba * blockSize, (lba + blocks) * blockSize));
}
