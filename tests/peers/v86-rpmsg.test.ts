/**
 * Linux's own rpmsg drivers on our device, in v86. No Debian kernel for i386 has them, so they are taken from the folder
 * that RINGSIDE_RPMSG names: rpmsg_core, rpmsg_ns, virtio_rpmsg_bus and rpmsg_client_sample, built for that kernel.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { VirtioRpmsgDevice } from "../../src/virtio/index.js";
import { test } from "./limited-test.js";
import { bootLinux, linuxFiles, makePc, whyNoV86Linux } from "./v86-guest.js";

const folder = process.env["RINGSIDE_RPMSG"] ?? "";
const names = ["rpmsg_core", "rpmsg_ns", "virtio_rpmsg_bus"];
const files = names.map((name) => join(folder, `${name}.ko`));
const sample = join(folder, "rpmsg_client_sample.ko");
const missing = [...files, sample].find((path) => !existsSync(path));
const skip =
  whyNoV86Linux() ?? (missing === undefined ? undefined : "RINGSIDE_RPMSG names no folder with Linux's rpmsg modules");

for (const registers of ["modern", "legacy"] as const) {
  test(`${registers}: Linux's sample client hears of our service, talks to it a hundred times and goes away`, {
    skip,
  }, async () => {
    const device = new VirtioRpmsgDevice();
    const heard: string[] = [];
    const pc = await makePc(linuxFiles([], [...files, sample]));
    pc.onFailure = (error) => {
      throw error;
    };
    const plugged = pc.plugVirtio(device, { classCode: 0x05_0000, registers });
    const endpoint = device.bus.createEndpoint({
      name: "rpmsg-client-sample",
      onMessage: ({ data, source }) => {
        heard.push(new TextDecoder().decode(data));
        void endpoint.send(source, new TextEncoder().encode(`answer ${heard.length}`));
      },
    });
    try {
      const shell = await bootLinux(pc);
      const log = await shell.run("sleep 2; dmesg | grep -i rpmsg");
      assert.match(log, /rpmsg host is online/);
      assert.match(log, /new channel: 0x400 -> 0x[0-9a-f]+/);
      assert.match(log, /incoming msg 100 /);
      assert.match(log, /goodbye/);
      assert.deepEqual([...new Set(heard)], ["hello world!"]);
      assert.equal(heard.length, 100);
      endpoint.close();
      await shell.run("sleep 1");
      assert.match(await shell.run("ls /sys/bus/rpmsg/devices; echo end"), /^(?!.*rpmsg-client-sample)/s);
      assert.deepEqual([...plugged.core.violations], []);
    } finally {
      await pc.emulator.destroy();
    }
  });
}
