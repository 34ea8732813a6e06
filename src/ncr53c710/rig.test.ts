/** What the tests of this room share: a chip with memory and disks, and a host that looks at it. */
import { GuestMemory } from "../memory/index.js";
import { Disk, ScsiBus } from "../scsi/index.js";
import { MemoryStore, type Store } from "../storage/index.js";
import {
  assemble,
  attachScsiBus,
  type ChipOptions,
  type Clock,
  dialects,
  formatDiagnostic,
  HostBus,
  Ncr53c710,
  placeProgram,
  Reg,
  type ScsiPhaseTarget,
  ScsiWire,
  type TargetOptions,
  type WireInitiator,
  wordsToBytes,
} from "./index.js";

export const hostId = 7;
export const scriptAt = 0x1000;
export const tableAt = 0x2000;
export const blockSize = 512;
export const diskBlocks = 2048;

/** A clock that stands still until it is moved. */
export class ManualClock implements Clock {
  now = 0;
  readonly #timers = new Set<{ at: number; callback: () => void }>();

  after(milliseconds: number, callback: () => void): () => void {
    const timer = { at: this.now + milliseconds, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(milliseconds: number): void {
    this.now += milliseconds;
    for (const timer of [...this.#timers]) {
      if (timer.at > this.now || !this.#timers.delete(timer)) continue;
      timer.callback();
    }
  }
}

export interface Rig {
  readonly memory: GuestMemory;
  readonly view: DataView;
  readonly bus: ScsiBus;
  readonly wire: ScsiWire;
  readonly chip: Ncr53c710;
  readonly targets: readonly ScsiPhaseTarget[];
  read(register: number): number;
  write(register: number, value: number): void;
  long(register: number): number;
  /** Assembles a source and puts it at {@link scriptAt}; returns the labels' addresses. */
  load(source: string, dialect?: keyof typeof dialects): Record<string, number>;
  /** Writes DSP. */
  start(address?: number): void;
  /** A table entry: count and address. */
  entry(offset: number, count: number, address: number): void;
  /** ISTAT, then DSTAT and SSTAT0 in one longword read. */
  causes(): { istat: number; dstat: number; sstat0: number };
}

export interface RigOptions {
  chip?: ChipOptions;
  target?: TargetOptions;
  /** Targets with a disk at LUN 0. Default 0 and 6. */
  disks?: readonly number[];
  store?: () => Store;
  memorySize?: number;
  /** Other initiators on the wire. */
  initiators?: readonly WireInitiator[];
}

/** A chip as drivers set it up: id 7, ESR, full arbitration. */
export function makeRig(options: RigOptions = {}): Rig {
  const memory = GuestMemory.ofSize(options.memorySize ?? 1 << 20);
  const bus = new ScsiBus();
  for (const id of options.disks ?? [0, 6]) {
    const store = options.store?.() ?? new MemoryStore(diskBlocks * blockSize);
    bus.attach(id, 0, new Disk(store, { powerOnAttention: false, serial: `${id}` }));
  }
  const wire = new ScsiWire();
  const { initiators = [] } = options;
  const targets = attachScsiBus(wire, bus, [hostId, ...initiators.map(({ id }) => id)], options.target);
  for (const initiator of initiators) wire.attachInitiator(initiator);
  const chip = new Ncr53c710(new HostBus(memory), wire, { selectionTimeout: 0, ...options.chip });
  const view = memory.regions[0].view;
  setUp(chip);
  return {
    memory,
    view,
    bus,
    wire,
    chip,
    targets,
    read: (register) => chip.readRegister(register),
    write: (register, value) => chip.writeRegister(register, value),
    long: (register) => chip.window.read32(register),
    load(source, dialect = "ringside") {
      const { program, diagnostics } = assemble(source, { dialect: dialects[dialect] });
      if (program === undefined)
        throw new Error(diagnostics.map((each) => formatDiagnostic(each, "source")).join("\n"));
      memory.write(scriptAt, wordsToBytes(placeProgram(program, scriptAt)));
      return Object.fromEntries(program.labels.map(({ name, offset }) => [name, scriptAt + offset]));
    },
    start: (address = scriptAt) => chip.window.write32(Reg.DSP, address),
    entry(offset, count, address) {
      view.setUint32(tableAt + offset, count);
      view.setUint32(tableAt + offset + 4, address);
    },
    causes() {
      const istat = chip.readRegister(Reg.ISTAT);
      const long = chip.window.read32(0x0c);
      return { istat, dstat: long & 0xff, sstat0: (long >>> 8) & 0xff };
    },
  };
}

/** What a driver writes after a reset. */
export function setUp(chip: Ncr53c710): void {
  chip.writeRegister(Reg.SCNTL0, 0xcc);
  chip.writeRegister(Reg.SCNTL1, 0x20);
  chip.writeRegister(Reg.SCID, 1 << hostId);
  chip.window.write32(Reg.DSA, tableAt);
}

/** Lets promises of stores and targets settle. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Places of {@link commandScript}'s table and buffers. */
export const places = { identify: 0x3000, cdb: 0x3010, status: 0x3020, message: 0x3021, data: 0x4000 } as const;

/** Our own script for one command: table-indirect, dispatching on the phase that the target asks for. */
export const commandScript = `
  ARCH 710
  ABSOLUTE t_device = 0
  ABSOLUTE t_identify = 4
  ABSOLUTE t_cdb = 12
  ABSOLUTE t_status = 20
  ABSOLUTE t_message = 28
  ABSOLUTE t_data = 36
  ABSOLUTE done = 0x600d
  ABSOLUTE lost = 0xbad1
  ABSOLUTE odd = 0xbad2
  ENTRY begin
begin:
  SELECT ATN FROM t_device, REL(taken)
  JUMP REL(strange), WHEN NOT MSG_OUT
  MOVE FROM t_identify, WHEN MSG_OUT
  JUMP REL(strange), WHEN NOT CMD
  MOVE FROM t_cdb, WHEN CMD
  JUMP REL(out), WHEN DATA_OUT
  JUMP REL(in), IF DATA_IN
  JUMP REL(ending), IF STATUS
strange:
  INT odd
out:
  MOVE FROM t_data, WHEN DATA_OUT
  JUMP REL(ending)
in:
  MOVE FROM t_data, WHEN DATA_IN
ending:
  MOVE FROM t_status, WHEN STATUS
  MOVE FROM t_message, WHEN MSG_IN
  CLEAR ACK
  WAIT DISCONNECT
  INT done
taken:
  INT lost
`;

/** Fills the table of {@link commandScript} for one command. */
export function prepareCommand(rig: Rig, target: number, cdb: Uint8Array, bytes: number, identify = 0x80): void {
  rig.view.setUint32(tableAt, 0x1_0000 << target);
  rig.memory.write(places.identify, Uint8Array.of(identify));
  rig.memory.write(places.cdb, cdb);
  rig.view.setUint16(places.status, 0xeeee);
  rig.entry(4, 1, places.identify);
  rig.entry(12, cdb.length, places.cdb);
  rig.entry(20, 1, places.status);
  rig.entry(28, 1, places.message);
  rig.entry(36, bytes, places.data);
}
