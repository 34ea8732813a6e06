/** `ringside bench net`: packets a second from one machine of ours to another over a cable, and what they allocate. */
import { boards, findVirtioAdapters, openAdapter } from "../src/machine/index.js";
import { createLink, Packet } from "../src/packet/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { VirtioNetDevice, VirtioNetDriver } from "../src/virtio/index.js";
import { countScavenges, median, processorTime } from "./compare.js";

const rounds = 5;
const depth = 32;
const lengths = [60, 1514] as const;

interface NetLoop {
  /** Sends `batches` of 32 packets to the other machine. @throws Error when one does not arrive. */
  run(length: number, batches: number): void;
  close(): Promise<void>;
}

async function openNetLoop(registers: "legacy" | "modern"): Promise<NetLoop> {
  const ends = createLink();
  const halves = await Promise.all(
    ends.map(async (peer) => {
      const machine = new EmbeddedMachine(boards.pc, { ramSize: 32 << 20 });
      machine.plugVirtio(new VirtioNetDevice(peer), { classCode: 0x020000 });
      const [adapter] = findVirtioAdapters(machine);
      // Nobody waits for interrupts here: both rings are looked at after each batch.
      const driver = await VirtioNetDriver.open(openAdapter(machine, adapter, { registers, prefer: "none" }));
      return { machine, driver };
    }),
  );
  const [sender, receiver] = halves;
  let arrived = 0;
  receiver.driver.onFrame(() => arrived++);
  const packets = new Map(lengths.map((length) => [length, new Packet(new Uint8Array(length).fill(0xff, 0, 6))]));
  return {
    run(length, batches) {
      const packet = packets.get(length as (typeof lengths)[number]) as Packet;
      arrived = 0;
      for (let batch = 0; batch < batches; batch++) {
        for (let index = 0; index < depth; index++) sender.driver.transmit(packet);
        sender.driver.flush();
        sender.driver.poll();
        receiver.driver.poll();
      }
      if (arrived !== batches * depth) throw new Error(`${arrived} of ${batches * depth} packets arrived`);
    },
    async close() {
      for (const { driver, machine } of halves) {
        await driver.close();
        await machine.close();
      }
    },
  };
}

export async function benchNet(print: (line: string) => void): Promise<void> {
  print(`packets from driver to driver: two machines, a cable, 32 at a time; medians of ${rounds} rounds`);
  for (const registers of ["legacy", "modern"] as const) {
    const loop = await openNetLoop(registers);
    for (const length of lengths) {
      loop.run(length, 5000);
      const times = Array.from(
        { length: rounds },
        () => processorTime(() => loop.run(length, 20_000)) / (20_000 * depth),
      );
      const time = median(times);
      const gigabits = (length * 8) / time;
      const speed = `${(1000 / time).toFixed(2)} M packets/s, ${gigabits.toFixed(1)} Gbit/s`;
      print(`${registers.padEnd(7)} ${String(length).padStart(5)} bytes ${time.toFixed(0).padStart(6)} ns   ${speed}`);
    }
    const collections = await countScavenges(() => loop.run(1514, Math.ceil(1_000_000 / depth)));
    print(`minor garbage collections in 1 M packets of 1514 bytes, ${registers} registers: ${collections}`);
    await loop.close();
  }
}
