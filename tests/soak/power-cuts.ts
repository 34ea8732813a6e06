/**
 * `node dist/tests/soak/power-cuts.js [--cuts N] [--seed N]`: cuts the power that often (default 200) under the ext4 of a
 * Linux guest, on virtio-blk and virtio-scsi in turns, 20 cuts a boot. Prints seeds; exit status 1 when a file system
 * came out damaged or something that was synced is not there, 2 for a wrong call.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cutPower, lookAt } from "../peers/vhost-power-cuts.js";
import { numberOf, readCall } from "./call.js";

const cutsPerBoot = 20;
const { values } = readCall({
  options: {
    cuts: { type: "string", default: "200" },
    seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
  },
});
const firstSeed = numberOf("seed", values.seed);
for (let left = numberOf("cuts", values.cuts, 1), seed = firstSeed; left > 0; left -= cutsPerBoot, seed++) {
  const folder = mkdtempSync(join(tmpdir(), "ringside-cuts-"));
  try {
    const kind = seed % 2 === 0 ? "blk" : "scsi";
    const cuts = await cutPower(folder, kind, Math.min(left, cutsPerBoot), seed);
    const wrong = cuts.flatMap((cut) => lookAt(cut).map((line) => `${cut.name}: ${line}`));
    process.stdout.write(
      `seed ${seed}: ${kind}, ${cuts.length} cuts, ${wrong.length === 0 ? "all well" : wrong.join("\n")}\n`,
    );
    if (wrong.length > 0) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
