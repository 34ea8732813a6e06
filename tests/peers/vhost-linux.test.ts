/** A Debian Linux guest on disks of ours: its own drivers over vhost-user, legacy and modern, one queue and two. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "./limited-test.js";
import { runGuest, whyNoGuest } from "./linux/guest.js";
import { startBackEnd } from "./vhost-processes.js";

const imageSize = 48 << 20;
const fileSize = 4 << 20;
let folder = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-vhost-linux-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const missing = whyNoGuest();
const options = missing === undefined ? {} : { skip: missing };

interface Case {
  readonly kind: "blk" | "scsi";
  readonly flavour: "legacy" | "modern";
  readonly queues: 1 | 2;
}

const cases: readonly Case[] = [
  { kind: "blk", flavour: "modern", queues: 1 },
  { kind: "blk", flavour: "legacy", queues: 1 },
  { kind: "blk", flavour: "modern", queues: 2 },
  { kind: "scsi", flavour: "modern", queues: 1 },
  { kind: "scsi", flavour: "legacy", queues: 1 },
  { kind: "scsi", flavour: "modern", queues: 2 },
];

/** An image with one Linux partition from 1 MiB on. */
function makeImage(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  truncateSync(path, imageSize);
  execFileSync("sfdisk", ["-q", path], { input: "label: dos\n2048,,83\n" });
  return path;
}

/** The guest's work on a disk: what it sees, a file system, files written, read back after a remount, space given back. */
function script(disk: string): string {
  return [
    `echo "@@sectors $(cat /sys/block/${disk}/size)"`,
    `echo "@@queues $(ls /sys/block/${disk}/mq | wc -l)"`,
    `test -b /dev/${disk}1 && echo "@@partition $(cat /sys/block/${disk}/${disk}1/start) $(cat /sys/block/${disk}/${disk}1/size)"`,
    `/host/mke2fs -q -t ext4 /dev/${disk}1`,
    `mount -t ext4 /dev/${disk}1 /mnt`,
    `dd if=/dev/urandom of=/mnt/file bs=64k count=${fileSize / 65536} 2>/dev/null`,
    // Two writers at once, so that a guest with two processors uses both its queues.
    "for n in 1 2 3 4; do (taskset 1 cp /mnt/file /mnt/a$n; taskset 2 cp /mnt/file /mnt/b$n || cp /mnt/file /mnt/b$n) 2>/dev/null & done; wait",
    "sync",
    'echo "@@sum $(md5sum < /mnt/file)"',
    "umount /mnt",
    "echo 3 > /proc/sys/vm/drop_caches",
    `mount -t ext4 /dev/${disk}1 /mnt`,
    'echo "@@again $(md5sum < /mnt/file)"',
    'for n in 1 2 3 4; do cmp /mnt/file /mnt/a$n; cmp /mnt/file /mnt/b$n; done && echo "@@copies equal"',
    "rm /mnt/a? /mnt/b?",
    "sync",
    "/host/fstrim -v /mnt || true",
    "umount /mnt",
    `/host/e2fsck -fn /dev/${disk}1 > /dev/null && echo "@@clean"`,
  ].join("\n");
}

for (const { kind, flavour, queues } of cases) {
  test(`Linux on ${kind}, ${flavour}, ${queues} ${queues === 1 ? "queue" : "queues"}`, options, async () => {
    const image = makeImage(`${kind}-${flavour}-${queues}.img`);
    const socket = join(folder, `${kind}-${flavour}-${queues}.sock`);
    const backEnd = await startBackEnd(socket, kind, image, "--queues", `${queues}`);
    try {
      const disk = kind === "blk" ? "vda" : "sda";
      const device = [
        `vhost-user-${kind}-pci,chardev=c`,
        kind === "blk" ? `num-queues=${queues}` : `num_queues=${queues}`,
        flavour === "legacy" ? "disable-modern=on" : "disable-legacy=on",
      ].join(",");
      const { lines } = await runGuest({
        script: script(disk),
        modules: kind === "blk" ? ["virtio_blk"] : ["virtio_scsi", "sd_mod"],
        programs: ["mke2fs", "e2fsck", "fstrim"],
        devices: ["-chardev", `socket,id=c,path=${socket}`, "-device", device],
        processors: queues,
      });
      const told = new Map(lines.map((line) => [line.split(" ")[0], line.split(" ").slice(1).join(" ")]));
      assert.equal(told.get("sectors"), `${imageSize / 512}`);
      assert.equal(told.get("queues"), `${queues}`);
      assert.equal(told.get("partition"), `2048 ${imageSize / 512 - 2048}`);
      assert.equal(told.get("again"), told.get("sum"));
      assert.ok(told.has("copies") && told.has("clean"), lines.join("\n"));
      assert.equal(sumOnHost(image), told.get("sum")?.split(" ")[0], "the host reads what the guest wrote");
      if (kind === "blk") {
        assert.ok(statSync(image).blocks * 512 < imageSize / 2, "what the guest discarded became holes");
      }
    } finally {
      await backEnd.stop();
    }
    assert.equal(existsSync(socket), false, "no socket is left");
  });
}

/** The checksum of the guest's file, taken from the image by the host's own ext4 tools. */
function sumOnHost(image: string): string {
  const partition = `${image}.part`;
  execFileSync("dd", [`if=${image}`, `of=${partition}`, "bs=1M", "skip=1", "conv=sparse", "status=none"]);
  const file = `${image}.file`;
  execFileSync("debugfs", ["-R", `dump /file ${file}`, partition], { stdio: "ignore" });
  return createHash("md5").update(readFileSync(file)).digest("hex");
}
