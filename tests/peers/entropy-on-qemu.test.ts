/** The driver half of virtio-entropy on QEMU's virtio-rng-pci. */
import assert from "node:assert/strict";
import { VirtioEntropyDriver, virtioEntropyId } from "../../src/virtio/index.js";
import { skipWithout, withDeviceOnQemu } from "./idle-processor.js";
import { test } from "./limited-test.js";

const onPc = skipWithout("pc");
const builtin = ["-object", "rng-builtin,id=rng"];

for (const mode of ["legacy", "modern"] as const) {
  for (const prefer of ["intx", "msix"] as const) {
    test(`pc ${mode} ${prefer}: QEMU's source fills buffers of all sizes`, onPc, async () => {
      const device = (pci: (driver: string) => string) => [
        ...builtin,
        "-device",
        `${pci("virtio-rng-pci")},rng=rng${prefer === "msix" ? ",vectors=2" : ""}`,
      ];
      const where = { board: "pc", device, deviceId: virtioEntropyId, mode, prefer, runs: true } as const;
      await withDeviceOnQemu(where, async ({ open }) => {
        const driver = await VirtioEntropyDriver.open(open());
        assert.equal(driver.link.transport.kind, `pci-${mode}`);
        assert.equal(driver.link.interruptMode, prefer);
        const seen = new Set<string>();
        for (const length of [1, 16, 64, 1000, 20_000]) {
          const bytes = new Uint8Array(length);
          await driver.fill(bytes);
          if (length > 1) seen.add(Buffer.from(bytes.subarray(0, 16)).toString("hex"));
          if (length >= 1000) assert.ok(new Set(bytes).size > 200, "many different bytes");
        }
        assert.equal(seen.size, 4);
        await driver.freeze();
        await driver.restore();
        const reads = await Promise.all(Array.from({ length: 40 }, () => driver.read(new Uint8Array(64))));
        assert.ok(reads.every((length) => length >= 1 && length <= 64));
        await driver.close();
      });
    });
  }
}

test("QEMU's rate limit: the driver gets its bytes over several periods", onPc, async () => {
  const device = (pci: (driver: string) => string) => [
    ...builtin,
    "-device",
    `${pci("virtio-rng-pci")},rng=rng,max-bytes=1000,period=100`,
  ];
  const where = { board: "pc", device, deviceId: virtioEntropyId, mode: "modern", runs: true } as const;
  await withDeviceOnQemu(where, async ({ open }) => {
    const driver = await VirtioEntropyDriver.open(open());
    const start = performance.now();
    await driver.fill(new Uint8Array(3500));
    assert.ok(performance.now() - start > 200, "three further periods");
    await driver.close();
  });
});
