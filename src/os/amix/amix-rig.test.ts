/** What the tests of this room share: an Amiga with controllers and disks, and a kernel on it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { a3000, a4000, type Board } from "../../machine/index.js";
import { Scatter } from "../../memory/index.js";
import { type A4091Options, type ChipOptions, generateRom, type TargetOptions } from "../../ncr53c710/index.js";
import type { TraceEvent } from "../../observe/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import { Disk, type DiskOptions, ScsiBus } from "../../scsi/index.js";
import { MemoryStore, type Store } from "../../storage/index.js";
import { type Buf, type OpenAmixOptions, openAmix, SdCom } from "./index.js";

export const diskBlocks = 4096;

/** What boards of the family have in common. */
const boardIdentity = { type: 0x90, flags: 0x30, serial: 0, diagnosticVector: 0x0200 };

/** Disks by SCSI id. */
export type Disks = Readonly<Record<number, Store>>;

export interface BoardSpec {
  readonly disks?: Disks;
  /** Units in another arrangement than a disk a target. */
  readonly bus?: ScsiBus;
  /** Another product of the family: A4092, A4770. */
  readonly identity?: { readonly manufacturer: number; readonly product: number };
  readonly chip?: ChipOptions;
  readonly target?: TargetOptions;
}

export interface RigSpec extends Omit<OpenAmixOptions, "observer" | "print"> {
  readonly board?: "a3000" | "a4000";
  /** Another chip id. */
  readonly agnus?: number;
  /** Disks on the A3000's own SCSI. */
  readonly onboard?: Disks;
  readonly boards?: readonly BoardSpec[];
  readonly disk?: DiskOptions;
}

/** A disk's bytes, each block with its number and a mark in it. */
export function patterned(blocks = diskBlocks, mark = 0): Uint8Array {
  const bytes = new Uint8Array(blocks * 512);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 8) {
    view.setUint32(at, Math.floor(at / 512));
    view.setUint32(at + 4, (mark << 24) | (at % 512));
  }
  return bytes;
}

/** A store with these bytes. */
export async function storeWith(bytes: Uint8Array): Promise<MemoryStore> {
  const store = new MemoryStore(bytes.length);
  await store.write(0, Scatter.of(bytes), bytes.length);
  return store;
}

function busOf(disks: Disks, options: DiskOptions | undefined): ScsiBus {
  const bus = new ScsiBus();
  for (const [id, store] of Object.entries(disks)) {
    bus.attach(Number(id), 0, new Disk(store, { powerOnAttention: false, serial: `id${id}`, ...options }));
  }
  return bus;
}

/** Brings a machine up and starts the kernel on it. */
export async function amixRig(spec: RigSpec) {
  const { board: name = "a4000", agnus, onboard, boards = [], disk, ...options } = spec;
  const own = { a3000, a4000 }[name];
  const board: Board =
    agnus === undefined || own.amiga === undefined ? own : { ...own, amiga: { ...own.amiga, agnus } };
  const events: TraceEvent[] = [];
  const observer = { emit: (event: TraceEvent) => void (event.category === "scsi" && events.push(event)) };
  const machine = new EmbeddedMachine(board, { ramSize: 8 << 20, observer });
  const buses: ScsiBus[] = [];
  const kept = (bus: ScsiBus) => {
    buses.push(bus);
    return bus;
  };
  if (name === "a3000") machine.plugOnboardScsi(kept(busOf(onboard ?? {}, disk)));
  const cards = boards.map(({ disks = {}, bus, identity, chip, target }) => {
    const rom = identity === undefined ? undefined : generateRom({ ...boardIdentity, ...identity });
    const a4091: A4091Options = { ...(rom === undefined ? {} : { rom }), chip: { selectionTimeout: 0, ...chip } };
    return machine.plugA4091(kept(bus ?? busOf(disks, disk)), {
      ...a4091,
      ...(target === undefined ? {} : { target }),
    });
  });
  const amix = await openAmix(machine, { ...options, observer });
  const close = async () => {
    await amix.close();
    await machine.close();
    for (const bus of buses) await bus.close();
  };
  const { kernel, records, adapters } = amix;
  return { machine, cards, events, kernel, records, adapters, close };
}

/** What {@link amixRig} answers. */
export type AmixRig = Awaited<ReturnType<typeof amixRig>>;

/** How a command ended. */
export interface CommandEnd {
  readonly okay: boolean;
  readonly status: number;
  readonly residual: number;
  readonly data: Uint8Array;
  /** What came with the command, without being asked for. */
  readonly sense: Uint8Array;
}

/** Sends a command through `sd`, with `length` bytes of kernel memory for its data. */
export async function sendThrough(
  { machine, kernel }: AmixRig,
  place: { card?: number; unit: number },
  cdb: Uint8Array,
  length: number,
  options: { reading?: boolean; data?: Uint8Array } = {},
): Promise<CommandEnd> {
  const { reading = true, data } = options;
  const block = machine.dma.allocate(Math.max(length, 16), 16);
  const bytes = block.region.bytes.subarray(block.offset, block.offset + length);
  if (data !== undefined) bytes.set(data);
  const command = new SdCom();
  command.aim(place.card ?? 0, place.unit, reading, block.address, length);
  command.cdb.set(cdb);
  kernel.sd.init();
  await new Promise<void>((resolve) => {
    command.intr = () => resolve();
    kernel.sd.queue(command);
  });
  const { okay, status, residual, senseLength } = command;
  const end = { okay, status, residual, data: bytes.slice(), sense: command.sense.slice(0, senseLength) };
  machine.dma.free(block);
  return end;
}

/** What the seed's driver of the A4091 cannot do or does wrong: the list of 5.6, a name each. */
const weakPoints = [
  "short transfers",
  "more data than room",
  "one look at ISTAT",
  "static buffers",
  "direction",
  "no disconnection",
  "no synchronous transfers",
  "no sense",
  "no LUNs",
  "no time-out",
  "no interrupt",
] as const;

/** Makes a profile's tests of the weak points; `complete` is to be called last. */
export function weakPointTests(profile: "strict" | "extended") {
  const shown = new Set<string>();
  return {
    weakPoint(name: (typeof weakPoints)[number], sentence: string, work: () => Promise<void>): void {
      shown.add(name);
      test(`5.6 weak point (${name}), ${profile}: ${sentence}`, work);
    },
    complete(): void {
      test(`5.6: every weak point has its test, ${profile}`, () =>
        assert.deepEqual([...shown].sort(), [...weakPoints].sort()));
    },
  };
}

/** A request to the block driver with memory of its own; `done` resolves at its end. */
export function request(rig: AmixRig, what: Partial<Buf> & Pick<Buf, "unit" | "block" | "bcount">) {
  const block = rig.machine.dma.allocate(Math.max(what.bcount, 512), 512);
  const bytes = block.region.bytes.subarray(block.offset, block.offset + what.bcount);
  let buf: Buf | undefined;
  const done = new Promise<Buf>((resolve) => {
    buf = {
      ...{ card: 0, slice: 0, write: false, error: false, resid: 0, addr: block.address },
      ...what,
      done(ended) {
        what.done?.(ended);
        resolve(ended);
      },
    };
  });
  return { buf: buf as unknown as Buf, bytes, done };
}
