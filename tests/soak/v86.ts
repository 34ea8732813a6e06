/**
 * `node dist/tests/soak/v86.js [--requests N]`: Debian's Linux in v86 on every disk, that many reads and writes each (default
 * 10 000), compared by their sums in the guest and here. Exit status 1 when one differs or the guest stops, 2 for a
 * wrong call.
 */
import { MemoryStore } from "../../src/storage/index.js";
import { bootLinux, linuxFiles, makePc, whyNoV86Linux } from "../peers/v86-guest.js";
import { bytesOf, diskNames, md5, nameOf, patterned, plugStorage, sizeOf, variants } from "../peers/v86-storage.js";
import { numberOf, readCall } from "./call.js";

const { values } = readCall({ options: { requests: { type: "string", default: "10000" } } });
const requests = numberOf("requests", values.requests, 1);
const round = 1000;

async function soak(): Promise<void> {
  const stores = variants.map((_, index) => MemoryStore.of(patterned(sizeOf(index), index)));
  const pc = await makePc(linuxFiles());
  try {
    const devices = plugStorage(pc, stores);
    let failure: unknown;
    pc.onFailure = (error) => {
      failure ??= error;
    };
    const shell = await bootLinux(pc);
    const disks = await diskNames(shell);
    for (const [index, variant] of variants.entries()) {
      const started = Date.now();
      for (let done = 0; done < requests; done += round) {
        // Every other round writes what the first half of the disk holds to its second half.
        const copies = (done / round) % 2 === 1;
        const to = copies ? `of=/dev/${disks[index]} seek=1500 oflag=direct conv=notrunc` : "of=/dev/null";
        await shell.run(`dd if=/dev/${disks[index]} ${to} bs=4k count=${round} iflag=direct 2>/dev/null`);
      }
      const seconds = (Date.now() - started) / 1000;
      await shell.run("echo 3 >/proc/sys/vm/drop_caches");
      const sum = (await shell.run(`md5sum /dev/${disks[index]}`)).split(" ")[0];
      if (sum !== md5(bytesOf(stores[index]))) throw new Error(`${nameOf(variant)}: the guest reads other bytes`);
      const violations = [...devices[index].core.violations.keys()];
      if (violations.length > 0) throw new Error(`${nameOf(variant)}: ${violations}`);
      if (failure !== undefined) throw failure;
      process.stdout.write(`${nameOf(variant)}: ${requests} rounds of requests in ${seconds.toFixed(1)} s, equal\n`);
    }
  } finally {
    await pc.emulator.destroy();
  }
}

const missing = whyNoV86Linux();
if (missing !== undefined) process.stdout.write(`skipped: ${missing}\n`);
else {
  try {
    await soak();
  } catch (error) {
    process.stdout.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}
