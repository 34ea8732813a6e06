/** READ(10) of 4 KiB through an A4091: host, SCRIPTS, chip, wire, target and memory store, one command at a time. */
import { subWindow } from "../src/bytes/index.js";
import { a4000 } from "../src/machine/index.js";
import { Scatter } from "../src/memory/index.js";
import { a4091Layout, assemble, placeProgram, Reg, wordsToBytes } from "../src/ncr53c710/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { cdb, Disk, ScsiBus } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { configureZorro } from "../src/zorro/index.js";
import { countScavenges, processorTime } from "./compare.js";

const blockBytes = 4096;
const storeBytes = 16 << 20;
const buffers = 32;

/** A command with data to come, table-indirect, as drivers for this chip do it. */
const readScript = `
  ARCH 710
  SELECT ATN FROM 0, REL(taken)
  MOVE FROM 4, WHEN MSG_OUT
  MOVE FROM 12, WHEN CMD
  MOVE FROM 36, WHEN DATA_IN
  MOVE FROM 20, WHEN STATUS
  MOVE FROM 28, WHEN MSG_IN
  CLEAR ACK
  WAIT DISCONNECT
  INT 0x600d
taken:
  INT 0xbad
`;

/** Instructions of {@link readScript} that a READ takes. */
export const instructionsPerRead = 9;

function words(source: string, at: number): Uint8Array {
  const { program } = assemble(source);
  if (program === undefined) throw new Error("the benchmark's script is wrong");
  return wordsToBytes(placeProgram(program, at));
}

/** An A4091 whose host reads. */
export interface ChipLoop {
  /** Sends `count` commands, to one target after the other. @throws Error when one fails. */
  run(count: number): void;
  /** Nanoseconds of processor time for a command. */
  measureReads(count: number): number;
  /** Minor garbage collections while `count` commands run. */
  countScavenges(count: number): Promise<number>;
  close(): Promise<void>;
}

/** Brings up an A4000 with an A4091 and this many targets, whose disks have the same contents. */
export async function openChipLoop(targets: number): Promise<ChipLoop> {
  const machine = new EmbeddedMachine(a4000, { ramSize: 16 << 20 });
  const store = new MemoryStore(storeBytes);
  await store.write(0, Scatter.of(new Uint8Array(storeBytes).fill(0x5a)), storeBytes);
  const bus = new ScsiBus();
  for (let id = 0; id < targets; id++) bus.attach(id, 0, new Disk(store, { powerOnAttention: false }));
  machine.plugA4091(bus);
  const [{ base = 0 }] = configureZorro(machine.memorySpace);
  const chip = subWindow(machine.memorySpace, base + a4091Layout.chip);
  const host = machine.dma.allocate(4096, 4096);
  const data = machine.dma.allocate(buffers * blockBytes, 4096);
  const [script, table, identify, command, status] = [0, 0x200, 0x300, 0x310, 0x320].map((at) => host.address + at);
  machine.memory.write(script, words(readScript, script));
  machine.memory.write(identify, Uint8Array.of(0x80));
  machine.memory.write(command, cdb.read10(0, 8));
  const { view } = machine.memory.regions[0];
  const at = (address: number) => address - a4000.ramBase;
  const entry = (offset: number, count: number, address: number) => {
    view.setUint32(at(table + offset), count);
    view.setUint32(at(table + offset + 4), address);
  };
  entry(4, 1, identify);
  entry(12, 10, command);
  entry(20, 1, status);
  entry(28, 1, status + 1);
  chip.write8(Reg.SCNTL0 ^ 3, 0xcc);
  chip.write8(Reg.SCID ^ 3, 0x80);
  chip.write32(Reg.DSA, table);
  const run = (count: number) => {
    let failed = 0;
    for (let index = 0; index < count; index++) {
      view.setUint32(at(table), 0x1_0000 << (index % targets));
      view.setUint16(at(command + 4), (index & 4095) * 8);
      entry(36, blockBytes, data.address + (index % buffers) * blockBytes);
      chip.write32(Reg.DSP, script);
      // Both status registers at once, then the vector: what an interrupt handler reads.
      if ((chip.read32(0x0c) & 0xff7f) !== 0x04 || chip.read32(Reg.DSPS) !== 0x600d) failed++;
      else if (view.getUint8(at(status)) !== 0) failed++;
    }
    if (failed > 0) throw new Error(`${failed} commands failed`);
  };
  return {
    run,
    measureReads: (count) => processorTime(() => run(count)) / count,
    countScavenges: (count) => countScavenges(() => run(count)),
    close: () => machine.close(),
  };
}

/** A chip that carries out a script without end. */
export interface InstructionLoop {
  /** Nanoseconds of processor time for an instruction. */
  measure(count: number): number;
  close(): Promise<void>;
}

/** Runs the body of `source`, whose last instruction goes back to the start. */
export function openInstructionLoop(source: string): InstructionLoop {
  const machine = new EmbeddedMachine(a4000, { ramSize: 1 << 20 });
  const { chip } = machine.plugA4091(new ScsiBus(), { chip: { turns: "manual" } });
  const script = machine.dma.allocate(4096, 4096).address;
  machine.memory.write(script, words(source, script));
  chip.window.write32(Reg.DSP, script);
  return {
    measure(count) {
      let done = 0;
      const time = processorTime(() => {
        done = chip.run(count);
      });
      if (done !== count) throw new Error(`the script stopped after ${done} instructions`);
      return time / count;
    },
    close: () => machine.close(),
  };
}
