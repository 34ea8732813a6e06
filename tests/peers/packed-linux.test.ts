/** A Debian Linux guest whose own drivers put packed rings on disks of ours: ext4, two queues, and the server killed. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "./limited-test.js";
import { newerQemu, runGuest, whyNoGuest } from "./linux/guest.js";
import { killAgainAndAgain } from "./vhost-kills.js";
import { startBackEnd } from "./vhost-processes.js";

const imageSize = 48 << 20;
let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-packed-linux-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const noGuest = whyNoGuest();
const qemu10 = newerQemu();
const noNewer = noGuest ?? (qemu10 === undefined ? "no QEMU 10 for PCs in .peers: run .ci/install-peers" : undefined);

/** What the guest did: features by number from bit 0 on, a file system made, filled, looked at again and checked. */
function script(disk: string): string {
  const virtio = "$(dirname $(ls -d /sys/bus/virtio/devices/*/driver | head -n 1))";
  return [
    `echo "@@features $(cat ${virtio}/features)"`,
    `/host/mke2fs -q -t ext4 /dev/${disk}`,
    `mount -t ext4 /dev/${disk} /mnt`,
    "dd if=/dev/urandom of=/mnt/file bs=64k count=64 2>/dev/null",
    "for n in 1 2 3 4; do (taskset 1 cp /mnt/file /mnt/a$n; taskset 2 cp /mnt/file /mnt/b$n || cp /mnt/file /mnt/b$n) 2>/dev/null & done; wait",
    "sync",
    "umount /mnt",
    "echo 3 > /proc/sys/vm/drop_caches",
    `mount -t ext4 /dev/${disk} /mnt`,
    'for n in 1 2 3 4; do cmp /mnt/file /mnt/a$n; cmp /mnt/file /mnt/b$n; done && echo "@@copies equal"',
    "rm /mnt/a? /mnt/b?",
    "sync",
    "/host/fstrim -v /mnt || true",
    "umount /mnt",
    `/host/e2fsck -fn /dev/${disk} > /dev/null && echo "@@clean"`,
  ].join("\n");
}

const cases = [
  { kind: "blk", queues: 2, missing: noNewer, qemu: qemu10 },
  { kind: "scsi", queues: 2, missing: noGuest, qemu: undefined },
] as const;

for (const { kind, queues, missing, qemu } of cases) {
  const name = `${kind}, ${queues} queues, QEMU ${qemu === undefined ? "7.2" : "10"}`;
  test(`Linux with packed rings on ${name}`, missing === undefined ? {} : { skip: missing }, async () => {
    const image = join(folder, `${kind}-${queues}.img`);
    writeFileSync(image, "");
    truncateSync(image, imageSize);
    const socket = join(folder, `${kind}-${queues}.sock`);
    const backEnd = await startBackEnd(socket, kind, image, "--queues", `${queues}`);
    try {
      const queueOption = kind === "blk" ? `num-queues=${queues}` : `num_queues=${queues}`;
      const { lines } = await runGuest({
        script: script(kind === "blk" ? "vda" : "sda"),
        modules: kind === "blk" ? ["virtio_blk"] : ["virtio_scsi", "sd_mod"],
        programs: ["mke2fs", "e2fsck", "fstrim"],
        devices: [
          ...["-chardev", `socket,id=c,path=${socket}`],
          ...["-device", `vhost-user-${kind}-pci,chardev=c,disable-legacy=on,packed=on,${queueOption}`],
        ],
        processors: queues,
        ...(qemu === undefined ? {} : { qemu }),
      });
      const features = lines.find((line) => line.startsWith("features"))?.split(" ")[1] ?? "";
      assert.equal(features[34], "1", `RING_PACKED is among the guest's features: ${features}`);
      assert.ok(lines.includes("copies equal") && lines.includes("clean"), lines.join("\n"));
      assert.doesNotThrow(() => execFileSync("e2fsck", ["-fn", image], { stdio: "ignore" }), "the host agrees");
    } finally {
      await backEnd.stop();
    }
  });
}

const kills = [
  { kind: "blk", queues: 1, kills: 5, missing: noGuest, qemu: undefined },
  { kind: "scsi", queues: 1, kills: 4, missing: noNewer, qemu: qemu10 },
] as const;

for (const { missing, ...plan } of kills) {
  const name = `${plan.kind}, QEMU ${plan.qemu === undefined ? "7.2" : "10"}`;
  const options = missing === undefined ? {} : { skip: missing };
  test(
    `packed rings: nothing acknowledged is lost when the server is killed ${plan.kills} times: ${name}`,
    options,
    async (context) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      context.diagnostic(`seed ${seed}`);
      const report = await killAgainAndAgain(folder, { ...plan, packed: true, seed });
      context.diagnostic(`${report.writes} writes, in flight at kills: ${report.inFlight.join(" ")}`);
      assert.equal(report.inFlight.length, plan.kills);
    },
  );
}
