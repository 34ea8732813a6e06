/** `ringside bench storport`: reads of 4 KiB through SRBs at depth 32, a new one at each completion. */
import type { StorportProfile } from "../src/os/index.js";
import { cdb } from "../src/scsi/index.js";
import { openStorportLoop } from "../src/testing/index.js";

const requests = 200_000;
const depth = 32;

export async function benchStorport(print: (line: string) => void): Promise<void> {
  print(`READ(10) of 4 KiB at depth ${depth} through port driver, miniport, ring, device and memory store`);
  for (const [profile, flavour] of [
    ["seed", "legacy"],
    ["scsiport", "legacy"],
    ["current", "modern"],
  ] as const) {
    print(await measure(profile, flavour));
  }
}

async function measure(profile: StorportProfile["name"], flavour: "legacy" | "modern"): Promise<string> {
  const loop = await openStorportLoop({ profile, flavour, poison: false });
  const { port } = loop.disk;
  await loop.disk.discover();
  let left = requests;
  const started = performance.now();
  const { kicks } = port.extension;
  await new Promise<void>((resolve) => {
    let ended = 0;
    for (let lane = 0; lane < depth; lane++) {
      const block = loop.machine.dma.allocate(4096, 4096);
      const srb = port.acquireSrb();
      srb.setCdb(cdb.read10(lane * 8, 8));
      srb.addSegment(block.address, 4096);
      srb.onComplete = () => {
        if (++ended === requests) resolve();
        else if (left > 0) next();
      };
      const next = () => {
        left--;
        srb.dataLength = 4096;
        port.submit(srb);
      };
      next();
    }
  });
  const seconds = (performance.now() - started) / 1000;
  const perRequest = (port.extension.kicks - kicks) / requests;
  await loop.close();
  const speed = Math.round(requests / seconds);
  return `${profile.padEnd(9)} ${String(speed).padStart(8)} requests/s, ${perRequest.toFixed(3)} notifications a request`;
}
