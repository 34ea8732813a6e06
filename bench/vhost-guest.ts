/**
 * `ringside bench guest`: the same reads in a Linux guest under TCG on our server and on qemu-storage-daemon. There the
 * guest is what limits; this shows that we do not.
 */
import type { ChildProcess } from "node:child_process";
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runGuest, whyNoGuest } from "../tests/peers/linux/guest.js";
import { median } from "./compare.js";
import { startServer } from "./until-exit.js";

const readers = 8;
const readsEach = 5000;
const rounds = 3;
const block = 4096;

export async function benchGuest(print: (line: string) => void): Promise<void> {
  const missing = whyNoGuest();
  if (missing !== undefined) return print(missing);
  const folder = mkdtempSync(join(tmpdir(), "ringside-bench-"));
  const image = join(folder, "disk.img");
  const file = openSync(image, "w");
  ftruncateSync(file, readers * readsEach * block);
  closeSync(file);
  const main = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
  const socket = join(folder, "socket");
  const exported = `type=vhost-user-blk,id=export,node-name=disk,writable=on,addr.type=unix,addr.path=${socket}`;
  const servers: Readonly<Record<string, readonly string[]>> = {
    ringside: [process.execPath, main, "serve", image, "--socket", socket],
    "qemu-storage-daemon": [
      ...["qemu-storage-daemon", "--blockdev", `driver=file,node-name=disk,filename=${image},aio=io_uring`],
      ...["--export", exported],
    ],
  };
  try {
    const rates = new Map<string, number[]>(Object.keys(servers).map((name) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const [name, words] of Object.entries(servers)) rates.get(name)?.push(await measure(words, socket));
    }
    const all = [...rates.values()].map(median);
    print(`4k direct reads by ${readers} readers in a Linux guest under TCG, medians of ${rounds} alternating boots`);
    for (const [index, name] of Object.keys(servers).entries()) print(`${name}: ${all[index].toFixed(0)} requests/s`);
    print(`ratio ${(all[0] / all[1]).toFixed(2)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Requests a second. */
async function measure(command: readonly string[], socket: string): Promise<number> {
  rmSync(socket, { force: true });
  const server = startServer(command);
  try {
    await appears(socket, server.child);
    const reader = `dd if=/dev/vda of=/dev/null bs=${block} iflag=direct skip=$((n * ${readsEach})) count=${readsEach} 2>/dev/null`;
    const numbers = Array.from({ length: readers }, (_, index) => index).join(" ");
    const { lines } = await runGuest({
      script: [
        "read begin rest < /proc/uptime",
        `for n in ${numbers}; do (${reader} || echo "@@failed") & done; wait`,
        "read end rest < /proc/uptime",
        'echo "@@$begin $end"',
      ].join("\n"),
      modules: ["virtio_blk"],
      devices: ["-chardev", `socket,id=c,path=${socket}`, "-device", "vhost-user-blk-pci,chardev=c"],
    });
    const [begin, end] = (lines.at(-1) ?? "").split(" ").map(Number);
    if (lines.length !== 1 || !(end > begin)) throw new Error(`the guest said ${JSON.stringify(lines)}`);
    return (readers * readsEach) / (end - begin);
  } finally {
    await server.end();
  }
}

async function appears(socket: string, server: ChildProcess): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!existsSync(socket)) {
    if (server.exitCode !== null || Date.now() > deadline) throw new Error("a server did not start");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
