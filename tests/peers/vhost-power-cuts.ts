/** Cuts the power under a Linux guest that makes files and syncs them. */
import { join } from "node:path";
import { seededRandom } from "../../src/testing/index.js";
import { startGuest } from "./linux/guest.js";
import { brokenPromises, filesOnHost, replayOnHost, SyncedFiles, syncedFilesScript } from "./linux/synced-files.js";
import { startBackEnd } from "./vhost-processes.js";

const imageSize = 48 << 20;

/** QEMU's options for a disk behind `socket`. */
export const devices = (kind: "blk" | "scsi", socket: string) => [
  ...["-chardev", `socket,id=c,path=${socket}`, "-device", `vhost-user-${kind}-pci,chardev=c`],
];
/** What the guest loads for it. */
export const modulesOf = (kind: "blk" | "scsi") => (kind === "blk" ? ["virtio_blk"] : ["virtio_scsi", "sd_mod"]);
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** An image as a power cut left it, and what must be in it. */
export interface Cut {
  readonly image: string;
  readonly promises: Map<string, Set<string>>;
  readonly name: string;
}

/** Boots a guest that writes and syncs, and cuts the power so many times, each as if it were the only one. */
export async function cutPower(
  folder: string,
  kind: "blk" | "scsi",
  cuts: number,
  seed: number,
  ...backEndOptions: string[]
): Promise<Cut[]> {
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

/** Replays the journal of an image and looks for what must be in it. @returns what is wrong */
export function lookAt({ image, promises }: Cut): string[] {
  return [...replayOnHost(image), ...brokenPromises(promises, filesOnHost(image))];
}
