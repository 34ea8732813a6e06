/**
 * `node dist/tests/soak/kills.js [--kills N] [--seed N] [--kind blk|scsi] [--queues N] [--packed] [--qemu PATH] [--serve]`: kills a
 * back end, or `ringside serve`, that often (default 200) while a Linux guest writes; every boot of the guest sees 25 of
 * the kills. Prints seeds; exit status 1 when something acknowledged was lost, 2 for a wrong call.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newerQemu } from "../peers/linux/guest.js";
import { killAgainAndAgain } from "../peers/vhost-kills.js";
import { choiceOf, numberOf, readCall } from "./call.js";

const killsPerBoot = 25;
const { values } = readCall({
  options: {
    kills: { type: "string", default: "200" },
    seed: { type: "string", default: `${Math.floor(Math.random() * 2 ** 31)}` },
    kind: { type: "string", default: "blk" },
    queues: { type: "string", default: "1" },
    qemu: { type: "string" },
    packed: { type: "boolean", default: false },
    serve: { type: "boolean", default: false },
  },
});
const allKills = numberOf("kills", values.kills, 1);
const firstSeed = numberOf("seed", values.seed);
const kind = choiceOf("kind", values.kind, ["blk", "scsi"]);
const queues = choiceOf("queues", values.queues, ["1", "2"]) === "2" ? 2 : 1;
// SCSI hosts of QEMU 7.2 do not connect again.
const qemu = values.qemu ?? (kind === "scsi" ? newerQemu() : undefined);
const folder = mkdtempSync(join(tmpdir(), "ringside-kills-"));
try {
  let writes = 0;
  for (let left = allKills, seed = firstSeed; left > 0; left -= killsPerBoot, seed += queues) {
    const kills = Math.min(left, killsPerBoot);
    const { packed, serve: servesByCommand } = values;
    const report = await killAgainAndAgain(folder, { kind, queues, kills, seed, qemu, packed, servesByCommand });
    writes += report.writes;
    process.stdout.write(`seed ${seed}: ${kills} kills, ${report.writes} writes, nothing lost\n`);
  }
  process.stdout.write(`${allKills} kills, ${writes} writes, nothing lost\n`);
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
