/** Debian guests on Arm and RISC-V, whose virtio is memory-mapped: our device half, served over vhost-user, behind it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../src/testing/index.js";
import { test } from "./limited-test.js";
import { type GuestArchitecture, runGuest, whyNoGuest } from "./linux/guest.js";
import { startBackEnd } from "./vhost-processes.js";

const size = 16 << 20;

for (const architecture of ["arm64", "riscv64"] as const satisfies readonly GuestArchitecture[]) {
  const missing = whyNoGuest(architecture);
  const options = missing === undefined ? {} : { skip: missing };

  test(`Linux on ${architecture} virt, virtio over MMIO: reads what is there, writes what stays`, options, async () => {
    const folder = mkdtempSync(join(tmpdir(), "ringside-mmio-linux-"));
    const image = join(folder, "disk.img");
    const random = seededRandom(5);
    const content = Uint8Array.from({ length: size }, () => random.below(256));
    writeFileSync(image, content);
    const socket = join(folder, "disk.sock");
    const backEnd = await startBackEnd(socket, "blk", image);
    try {
      const { lines } = await runGuest({
        architecture,
        script: [
          'echo "@@sectors $(cat /sys/block/vda/size)"',
          'echo "@@bus $(basename $(readlink -f /sys/block/vda/device/..))"',
          'echo "@@sum $(md5sum < /dev/vda)"',
          "dd if=/dev/vda of=/tmp/part bs=64k count=32 2>/dev/null",
          "dd if=/tmp/part of=/dev/vda bs=64k seek=128 conv=fsync 2>/dev/null",
          "echo 3 > /proc/sys/vm/drop_caches",
          'echo "@@again $(md5sum < /dev/vda)"',
        ].join("\n"),
        modules: ["virtio_blk"],
        devices: [
          "-chardev",
          `socket,id=c,path=${socket}`,
          "-device",
          "vhost-user-blk,chardev=c,bus=virtio-mmio-bus.0",
        ],
      });
      const told = new Map(lines.map((line) => [line.split(" ")[0], line.split(" ")[1]]));
      const sum = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");
      assert.equal(told.get("sectors"), `${size / 512}`);
      assert.match(told.get("bus") ?? "", /virtio_mmio$/, "the device is behind virtio-mmio");
      assert.equal(told.get("sum"), sum(content));
      content.set(content.subarray(0, 32 << 16), 128 << 16);
      assert.equal(told.get("again"), sum(content));
      assert.equal(sum(readFileSync(image)), sum(content), "the file has what the guest wrote");
    } finally {
      await backEnd.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
