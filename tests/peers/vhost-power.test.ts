/** Power cuts under a Linux guest's ext4: its journal makes the file system whole again, and what was synced is there. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { seededRandom } from "../../src/testing/index.js";
import { runGuest, startGuest, whyNoGuest } from "./linux/guest.js";
import { AcknowledgedWrites, numberedWriter, writersScript } from "./linux/numbered-writes.js";
import {
  brokenPromises,
  complaintsOf,
  filesOnHost,
  replayOnHost,
  SyncedFiles,
  syncedFilesScript,
} from "./linux/synced-files.js";
import { startBackEnd } from "./vhost-processes.js";

const imageSize = 48 << 20;
let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-power-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const missing = whyNoGuest();
const options = missing === undefined ? {} : { skip: missing };
const devices = (kind: string, socket: string) => [
  ...["-chardev", `socket,id=c,path=${socket}`, "-device", `vhost-user-${kind}-pci,chardev=c`],
];
const modulesOf = (kind: "blk" | "scsi") => (kind === "blk" ? ["virtio_blk"] : ["virtio_scsi", "sd_mod"]);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** An image as a power cut left it, and what must be in it. */
interface Cut {
  readonly image: string;
  readonly promises: Map<string, Set<string>>;
  readonly name: string;
}

/** Boots a guest that writes and syncs, and cuts the power so many times, each as if it were the only one. */
async function cutPower(kind: "blk" | "scsi", cuts: number, seed: number, ...backEndOptions: string[]): Promise<Cut[]> {
  const random = seededRandom(seed);
  const socket = join(folder, `${kind}-${seed}.sock`);
  // Answers late and out of order, so that the guest flushes while other requests are under way.
  const slow = ["--power-loss", "--slow", "2", ...backEndOptions];
  const backEnd = await startBackEnd(socket, kind, `${imageSize}`, ...slow);
  const files = new SyncedFiles();
  const guest = startGuest({
    script: syncedFilesScript(kind === "blk" ? "/dev/vda" : "/dev/sda"),
    modules: modulesOf(kind),
    programs: ["mke2fs", "sync"],
    devices: devices(kind, socket),
    onLine: (line) => files.take(line),
  });
  let failure: Error | undefined;
  guest.ended.catch((error: Error) => {
    failure = error;
  });
  const until = async (isReached: () => boolean) => {
    while (!isReached()) {
      if (failure !== undefined) throw failure;
      await pause(2);
    }
  };
  const taken: { image: string; moment: number; name: string }[] = [];
  try {
    for (let cut = 0; cut < cuts; cut++) {
      const target = files.moment + 4 + random.below(40);
      await until(() => files.moment >= target);
      await pause(random.below(60));
      const image = join(folder, `${kind}-${seed}-${cut}.img`);
      const survival = [0, 0.1, 0.5, 0.9, 1][random.below(5)];
      const cutSeed = random.below(2 ** 31);
      const { moment } = files;
      backEnd.child.stdin?.write(`cut ${cutSeed} ${survival} ${image}\n`);
      await until(() => backEnd.output().includes(`cut ${cutSeed}\n`));
      taken.push({ image, moment, name: `seed ${seed}, cut ${cut + 1}, ${survival} of the cache survives` });
    }
    // What the guest announced before the last cut may still be on its way.
    const target = files.moment + 20;
    await until(() => files.moment >= target);
    return taken.map(({ image, moment, name }) => ({ image, name, promises: files.promisesAt(moment) }));
  } finally {
    guest.kill();
    await backEnd.stop("SIGKILL");
  }
}

function lookAt({ image, promises }: Cut): string[] {
  return [...replayOnHost(image), ...brokenPromises(promises, filesOnHost(image))];
}

function newSeed(context: TestContext): number {
  const seed = Math.floor(Math.random() * 2 ** 31);
  context.diagnostic(`seed ${seed}`);
  return seed;
}

for (const kind of ["blk", "scsi"] as const) {
  test(`after a power cut ext4 replays its journal and has all that was synced: ${kind}`, options, async (context) => {
    const cuts = await cutPower(kind, 8, newSeed(context));
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
  const cuts = await cutPower("blk", 4, newSeed(context), "--ignores-flush");
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
