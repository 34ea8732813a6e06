/** Power cuts under a Linux guest's ext4: its journal makes the file system whole again, and what was synced is there. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "./limited-test.js";
import { runGuest, startGuest, whyNoGuest } from "./linux/guest.js";
import { AcknowledgedWrites, numberedWriter, writersScript } from "./linux/numbered-writes.js";
import { brokenPromises, complaintsOf } from "./linux/synced-files.js";
import { type Cut, cutPower, devices, lookAt, modulesOf } from "./vhost-power-cuts.js";
import { startBackEnd } from "./vhost-processes.js";

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-power-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const missing = whyNoGuest();
const options = missing === undefined ? {} : { skip: missing };
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function newSeed(context: TestContext): number {
  const seed = Math.floor(Math.random() * 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  return seed;
}

for (const kind of ["blk", "scsi"] as const) {
  test(`after a power cut ext4 replays its journal and has all that was synced: ${kind}`, options, async (context) => {
    const cuts = await cutPower(folder, kind, 5, newSeed(context));
    for (const cut of cuts.slice(0, -1)) assert.deepEqual(lookAt(cut), [], cut.name);
    const last = cuts.at(-1) as Cut;
    assert.ok(last.promises.size >= 10, `only ${last.promises.size} files were synced`);
    context.diagnostic(`${last.promises.size} files at the last cut`);
    await mountInGuest(kind, last);
  });
}

/** The kernel's own replay, in another guest on the image. */
async function mountInGuest(kind: "blk" | "scsi", { image, promises, name }: Cut): Promise<void> {
  const socket = join(folder, `${kind}-again.sock`);
  const backEnd = await startBackEnd(socket, kind, image);
  try {
    const { lines } = await runGuest({
      script: [
        `mount -t ext4 ${kind === "blk" ? "/dev/vda" : "/dev/sda"} /mnt`,
        'cd /mnt/files; for file in *; do set -- $(md5sum $file); echo "@@sum $file $1"; done; cd /',
        'dmesg | grep -i "ext4.*error" | while read line; do echo "@@bad $line"; done',
        "umount /mnt",
      ].join("\n"),
      modules: modulesOf(kind),
      devices: devices(kind, socket),
    });
    assert.deepEqual(
      lines.filter((line) => line.startsWith("bad")),
      [],
      name,
    );
    const found = new Map(lines.map((line) => line.split(" ").slice(1) as [string, string]));
    assert.deepEqual(brokenPromises(promises, found), [], name);
  } finally {
    await backEnd.stop();
  }
  assert.deepEqual(complaintsOf(image), [], name);
}

test("a disk that does not flush is found out", options, async (context) => {
  const cuts = await cutPower(folder, "blk", 4, newSeed(context), "--ignores-flush");
  const wrong = cuts.flatMap(lookAt);
  context.diagnostic(wrong[0] ?? "nothing wrong");
  assert.ok(wrong.length > 0);
});

/** Writes that the guest never flushes, with the power cut while it goes on. @returns what was lost of the acknowledged */
async function lostUnflushed(kind: "blk" | "scsi", cache: "write through" | "write back", seed: number) {
  const name = `${kind}-${cache.replace(" ", "-")}`;
  const socket = join(folder, `${name}.sock`);
  const backEnd = await startBackEnd(socket, kind, `${4 << 20}`, "--power-loss", "--slow", "2");
  const acknowledged = new AcknowledgedWrites();
  let told = "";
  const disk = kind === "blk" ? "/dev/vda" : "/dev/sda";
  const cacheType = kind === "blk" ? "/sys/block/vda/cache_type" : "/sys/class/scsi_disk/0:0:0:0/cache_type";
  const guest = startGuest({
    script: [
      `echo "${cache}" > ${cacheType}; echo "@@cache $(cat ${cacheType})"`,
      writersScript([{ disk, first: 0, count: 512, depth: 16, seed, patience: 10 }]),
    ].join("\n"),
    modules: modulesOf(kind),
    programs: ["perl"],
    files: { "writer.pl": numberedWriter },
    devices: devices(kind, socket),
    onLine: (line) => {
      if (line.startsWith("cache")) told = line;
      acknowledged.take(line);
    },
  });
  let failure: Error | undefined;
  guest.ended.catch((error: Error) => {
    failure = error;
  });
  const lost: string[] = [];
  try {
    for (let cut = 0; cut < 4; cut++) {
      const target = acknowledged.count + 100;
      while (acknowledged.count < target && failure === undefined) await pause(2);
      if (failure !== undefined) throw failure;
      const image = join(folder, `${name}-${cut}.img`);
      const promised = new AcknowledgedWrites(acknowledged.generations);
      backEnd.child.stdin?.write(`cut ${seed + cut} 0 ${image}\n`);
      while (!backEnd.output().includes(`cut ${seed + cut}\n`)) await pause(2);
      lost.push(...promised.compare(image, true));
    }
    assert.equal(acknowledged.failure, undefined);
    assert.equal(told, `cache ${cache}`);
    return lost;
  } finally {
    guest.kill();
    await backEnd.stop("SIGKILL");
  }
}

for (const kind of ["blk", "scsi"] as const) {
  test(`what is written through needs no flush to survive a power cut: ${kind}`, options, async (context) => {
    const seed = newSeed(context);
    assert.deepEqual(await lostUnflushed(kind, "write through", seed), []);
    assert.notDeepEqual(await lostUnflushed(kind, "write back", seed), [], "a cache that is on holds something back");
  });
}
