/** `ringside bench a4091`: our driver on our A4091: READs a second, interrupts and register accesses of each. */
import { a4000 } from "../src/machine/index.js";
import { Scatter } from "../src/memory/index.js";
import {
  type AdapterCommand,
  type AdapterPlatform,
  NcrHostAdapter,
  type TargetOptions,
} from "../src/ncr53c710/index.js";
import { EmbeddedMachine } from "../src/platform/embedded/index.js";
import { cdb, Disk, ScsiBus, unitAddress } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import { countScavenges, median, processorTime } from "./compare.js";

const rounds = 5;
const storeBytes = 16 << 20;
const blockSize = 512;

interface Case {
  readonly name: string;
  readonly depth: number;
  readonly targets: number;
  readonly bytes: number;
  readonly tags: boolean;
  readonly target?: TargetOptions;
}

const cases: readonly Case[] = [
  { name: "4 KiB, one at a time", depth: 1, targets: 1, bytes: 4096, tags: false },
  { name: "4 KiB, 32 with queue tags", depth: 32, targets: 1, bytes: 4096, tags: true },
  { name: "4 KiB, 7 targets", depth: 7, targets: 7, bytes: 4096, tags: false },
  {
    ...{ name: "4 KiB, 7 targets that disconnect", depth: 28, targets: 7, bytes: 4096, tags: true },
    target: { disconnect: "always" },
  },
  { name: "64 KiB, one at a time", depth: 1, targets: 1, bytes: 65536, tags: false },
  { name: "1 MiB, one at a time", depth: 1, targets: 1, bytes: 1 << 20, tags: false },
];

/** Prints the lines of this benchmark. */
export async function benchA4091(print: (line: string) => void): Promise<void> {
  print(`A4091 driver on our board, READ(10), medians of ${rounds} rounds of processor time`);
  print(
    `${"".padEnd(36)}${"µs".padStart(8)}${"READs/s".padStart(10)}${"MB/s".padStart(8)}  interrupts  accesses  each`,
  );
  for (const one of cases) await measure(one, print);
}

async function measure({ name, depth, targets, bytes, tags, target }: Case, print: (line: string) => void) {
  const machine = new EmbeddedMachine(a4000, { ramSize: 64 << 20 });
  const store = new MemoryStore(storeBytes);
  await store.write(0, Scatter.of(new Uint8Array(storeBytes).fill(0x5a)), storeBytes);
  const bus = new ScsiBus();
  for (let id = 0; id < targets; id++) bus.attach(id, 0, new Disk(store, { powerOnAttention: false }));
  machine.plugA4091(bus, target === undefined ? {} : { target });
  let interrupts = 0;
  const counted: AdapterPlatform = {
    ...{ memorySpace: machine.memorySpace, dma: machine.dma, board: machine.board },
    interrupts: {
      attachZorro: (line, handler) => {
        const count = () => {
          interrupts++;
          handler();
        };
        return machine.interrupts.attachZorro?.(line, count) ?? (() => {});
      },
    },
  };
  const adapter = await NcrHostAdapter.openFirst(counted, { busSettle: 0 });
  for (let id = 0; id < targets; id++) adapter.setQueueing(unitAddress(id, 0), tags);
  const data = machine.dma.allocate(depth * bytes, 4096);
  const requests = Array.from({ length: depth }, (_, index) => {
    const request = adapter.acquireRequest();
    request.pointAt(unitAddress(index % targets, 0));
    request.setCdb(cdb.read10(0, bytes / blockSize));
    request.addIn(data.address + index * bytes, bytes);
    return request;
  });
  const run = (batches: number) => runBatches(adapter, requests, batches);
  const batches = Math.max(1, Math.floor(20_000_000 / (bytes + 4096) / depth));
  run(batches);
  const times: number[] = [];
  const before = { accesses: adapter.accesses, commands: adapter.counters.commands };
  for (let round = 0; round < rounds; round++) times.push(processorTime(() => run(batches)) / (batches * depth));
  const commands = adapter.counters.commands - before.commands;
  const accesses = (adapter.accesses - before.accesses) / commands;
  // The same with interrupts, which come when the processor has nothing else to do.
  interrupts = 0;
  let ended = 0;
  const wanted = 2000;
  await new Promise<void>((resolve) => {
    for (const request of requests) {
      request.onEnd = () => {
        if (++ended === wanted) resolve();
        else if (ended + depth <= wanted) adapter.submit(request);
      };
      adapter.submit(request);
    }
  });
  const each = interrupts / ended;
  for (const request of requests) request.onEnd = undefined;
  const time = median(times);
  const rate = 1e9 / time;
  const scavenges = await countScavenges(() => run(Math.ceil(100_000 / depth / (bytes / 4096))));
  print(
    `${name.padEnd(36)}${(time / 1000).toFixed(2).padStart(8)}${rate.toFixed(0).padStart(10)}` +
      `${((rate * bytes) / 1e6).toFixed(0).padStart(8)}${each.toFixed(3).padStart(12)}${accesses.toFixed(1).padStart(10)}` +
      `  ${scavenges} minor collections`,
  );
  await adapter.close();
  await machine.close();
}

/** All requests of a batch, looked after by polling. @throws Error when one fails */
function runBatches(adapter: NcrHostAdapter, requests: readonly AdapterCommand[], batches: number): void {
  for (let batch = 0; batch < batches; batch++) {
    for (let index = 0; index < requests.length; index++) adapter.submit(requests[index]);
    while (adapter.inFlight > 0) adapter.poll();
    for (let index = 0; index < requests.length; index++) {
      const { response, status, residual } = requests[index];
      if (response !== 0 || status !== 0 || residual !== 0) throw new Error(`response ${response}, status ${status}`);
    }
  }
}
