/** What the tests on fs-uae share: its A4091 and ours at the same addresses, and a script for one SCSI command. */
import { spawnSync } from "node:child_process";
import { subWindow } from "../../src/bytes/index.js";
import { GuestMemory } from "../../src/memory/index.js";
import {
  A4091Board,
  a4091Layout,
  assemble,
  attachScsiBus,
  formatDiagnostic,
  placeProgram,
  ScsiWire,
} from "../../src/ncr53c710/index.js";
import {
  type FsUaeMachine,
  type FsUaeMachineOptions,
  fsUaeTarget,
  memoryTarget,
  type SequenceStep,
  type SequenceTarget,
  startFsUaeMachine,
} from "../../src/platform/fs-uae/index.js";
import { Disk, ScsiBus } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { configureZorro, ZorroBus } from "../../src/zorro/index.js";

/** Why tests on fs-uae are skipped, or false. */
export const noFsUae = spawnSync("fs-uae", ["--version"]).status === 0 ? false : "fs-uae is not installed";

export const boardBase = 0x4000_0000;
export const chipBase = boardBase + a4091Layout.chip;

/** Where things are in both memories. */
export const places = {
  script: 0x2_0000,
  table: 0x2_1000,
  identify: 0x2_2000,
  cdb: 0x2_2010,
  status: 0x2_2020,
  message: 0x2_2021,
  data: 0x3_0000,
} as const;

/** fs-uae with its A4091 at {@link boardBase}. */
export async function startWithBoard(options: FsUaeMachineOptions = {}): Promise<FsUaeMachine> {
  const machine = await startFsUaeMachine(options);
  try {
    machine.configureBoard(boardBase);
    return machine;
  } catch (error) {
    await machine.close();
    throw error;
  }
}

export function theirs(machine: FsUaeMachine): SequenceTarget {
  return fsUaeTarget(machine, chipBase);
}

/** Our own board on a Zorro bus, with disks as that machine has them. */
export function ourBoard(disks: ReadonlyMap<number, Uint8Array> = new Map()) {
  const memory = GuestMemory.ofSize(2 << 20);
  const zorro = new ZorroBus();
  const wire = new ScsiWire();
  const bus = new ScsiBus();
  for (const [id, bytes] of disks) {
    bus.attach(id, 0, new Disk(MemoryStore.of(bytes), { powerOnAttention: false }));
  }
  attachScsiBus(wire, bus, 7);
  const board = new A4091Board(
    { memory, zorro, wire },
    {
      chip: { selectionTimeout: 0, openPoints: { scidReset: 0x80, memoryMove: "preserved" } },
    },
  );
  zorro.plug(board);
  return { memory, zorro, bus, board };
}

export function ours({ memory, zorro, board }: ReturnType<typeof ourBoard>): SequenceTarget {
  if (zorro.configured.length === 0) configureZorro(zorro.space, { firstBase: boardBase });
  return memoryTarget("ringside", subWindow(zorro.space, chipBase), memory, () => {
    const status = board.chip.readRegister(0x21);
    return (status & 3) !== 0 ? status : undefined;
  });
}

/** The words of a script that is to be at {@link places}.script. */
export function scriptWords(source: string): Uint32Array {
  const { program, diagnostics } = assemble(source);
  if (program === undefined) throw new Error(diagnostics.map((each) => formatDiagnostic(each, "script")).join("\n"));
  return placeProgram(program, places.script);
}

/** Our own script for one command: table-indirect, going where the target's phases lead. */
export const commandScript = scriptWords(`
  ARCH 710
  ABSOLUTE t_device = 0, t_identify = 4
  ABSOLUTE t_cdb = 12, t_status = 20
  ABSOLUTE t_message = 28, t_data = 36
  ENTRY begin
begin:
  SELECT ATN FROM t_device, REL(taken)
  MOVE FROM t_identify, WHEN MSG_OUT
  MOVE FROM t_cdb, WHEN CMD
  JUMP REL(out), WHEN DATA_OUT
  JUMP REL(in), IF DATA_IN
  JUMP REL(ending)
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
  INT 0x600d
taken:
  INT 0xbad1`);

/** What a driver writes before its first script. */
export const setUp: readonly SequenceStep[] = [
  { do: "write", register: "ISTAT", value: 0x40 },
  { do: "write", register: "ISTAT", value: 0 },
  // fs-uae's reset leaves these.
  ...(["CTEST0", "CTEST3", "CTEST6", "CTEST7", "CTEST8", "DWT", "LCRC"] as const).map(
    (register) => ({ do: "write", register, value: 0 }) as const,
  ),
  { do: "write", register: "SCNTL0", value: 0xcc },
  { do: "write", register: "SCNTL1", value: 0x20 },
  { do: "write", register: "SCID", value: 0x80 },
  // Whatever the reset left.
  { do: "read-long", offset: 0x0c },
];

/** One command by {@link commandScript}; the observations end with those of its interrupt. */
export function commandSteps(target: number, cdb: Uint8Array, length: number, out?: Uint8Array): SequenceStep[] {
  const table = Uint32Array.of(
    (1 << target) << 16,
    ...[1, places.identify, cdb.length, places.cdb, 1, places.status, 1, places.message, length, places.data],
  );
  const messages = Uint8Array.of(0xff, 0xff);
  return [
    { do: "words", address: places.script, words: commandScript },
    { do: "words", address: places.table, words: table },
    { do: "upload", address: places.identify, bytes: Uint8Array.of(0x80) },
    { do: "upload", address: places.cdb, bytes: cdb },
    { do: "upload", address: places.status, bytes: messages },
    ...(out === undefined ? [] : [{ do: "upload", address: places.data, bytes: out } as const]),
    { do: "write", register: "DSA", value: places.table },
    { do: "start", address: places.script },
    { do: "wait" },
    { do: "read-long", offset: 0x0c },
    { do: "read", registers: ["DSPS", "DSP", "DBC", "DNAD", "DCMD", "SCNTL1", "DFIFO", "SBCL"] },
    { do: "memory", address: places.status, length: 2 },
    ...(out === undefined && length > 0 ? [{ do: "memory", address: places.data, length } as const] : []),
  ];
}

/** What a step saw, by name; the last one of each. */
export function lastOf(seen: readonly { what: string; value: number | string }[]): Record<string, number | string> {
  return Object.fromEntries(seen.map(({ what, value }) => [what, value]));
}
