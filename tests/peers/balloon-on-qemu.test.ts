/** The driver half of virtio-balloon on QEMU's virtio-balloon-pci. */
import assert from "node:assert/strict";
import type { QemuMachine } from "../../src/platform/qemu/index.js";
import { BalloonTag, VirtioBalloonDriver, virtioBalloonId } from "../../src/virtio/index.js";
import { type DeviceOnQemu, skipWithout, withDeviceOnQemu } from "./idle-processor.js";
import { test } from "./limited-test.js";

const mebibyte = 1 << 20;
const device = (pci: (driver: string) => string) => ["-device", `${pci("virtio-balloon-pci")},id=balloon`];

/** Bytes that QEMU says the guest has. */
async function actualBytes(machine: QemuMachine): Promise<number> {
  const { actual } = (await machine.qmp.execute("query-balloon")) as { actual: number };
  return actual;
}

/** Asks for `bytes` of the machine's memory to be in the balloon, and waits until they are. */
async function inflate({ machine, until }: DeviceOnQemu, driver: VirtioBalloonDriver, whole: number, bytes: number) {
  await machine.qmp.execute("balloon", { value: whole - bytes });
  await until(() => driver.pages === bytes / 4096);
  await driver.settled();
  assert.equal(await actualBytes(machine), whole - bytes, "QEMU reads `actual` as we wrote it");
}

const cases = [
  { board: "pc", mode: "legacy", prefer: "intx" },
  { board: "pc", mode: "modern", prefer: "msix" },
  { board: "pegasos2", mode: "legacy", prefer: "intx" },
  { board: "pegasos2", mode: "modern", prefer: "intx" },
  { board: "amigaone", mode: "legacy", prefer: "intx" },
] as const;

for (const { board, mode, prefer } of cases) {
  test(
    `R-1104 ${board} ${mode} ${prefer}: QMP's balloon inflates and deflates, the configuration is little-endian`,
    skipWithout(board),
    async () => {
      await withDeviceOnQemu({ board, device, deviceId: virtioBalloonId, mode, prefer }, async (found) => {
        const driver = await VirtioBalloonDriver.open(found.open());
        const whole = await actualBytes(found.machine);
        assert.ok(whole >= 16 * mebibyte);
        await inflate(found, driver, whole, 3 * mebibyte);
        await inflate(found, driver, whole, 5 * mebibyte + 8192);
        await inflate(found, driver, whole, mebibyte);
        await driver.freeze();
        assert.equal(driver.pages, 0);
        assert.equal(await actualBytes(found.machine), whole, "frozen: all pages are home");
        await driver.restore();
        await found.until(() => driver.pages === mebibyte / 4096);
        await inflate(found, driver, whole, 0);
        await driver.close();
      });
    },
  );
}

test(
  "what lies in an inflated page is gone in QEMU's memory, and its neighbours are not",
  skipWithout("pc"),
  async () => {
    await withDeviceOnQemu({ board: "pc", device, deviceId: virtioBalloonId, mode: "modern" }, async (found) => {
      const { machine } = found;
      const kept = machine.dma.allocate(4096, 4096);
      kept.region.bytes.fill(0x77, kept.offset, kept.offset + 4096);
      const pages: number[] = [];
      const block = machine.dma.allocate(64 * 4096, 4096);
      block.region.bytes.fill(0x55, block.offset, block.offset + block.size);
      for (let page = 0; page < 64; page++) pages.push(block.address / 4096 + page);
      const free = [...pages];
      const memory = { take: () => free.pop(), give: (page: number) => void free.push(page) };
      const driver = await VirtioBalloonDriver.open(found.open(), { memory });
      const whole = await actualBytes(machine);
      await inflate(found, driver, whole, 32 * 4096);
      const isGone = (page: number) => {
        const at = block.offset + (page * 4096 - block.address);
        return block.region.bytes.subarray(at, at + 4096).every((byte) => byte === 0);
      };
      assert.deepEqual(
        pages.map(isGone),
        pages.map((page) => !free.includes(page)),
      );
      assert.ok(kept.region.bytes.subarray(kept.offset, kept.offset + 4096).every((byte) => byte === 0x77));
      await driver.close();
    });
  },
);

test("R-1106, R-1107, R-1108: QEMU polls statistics and shows them by their names", skipWithout("pc"), async () => {
  for (const mode of ["legacy", "modern"] as const) {
    const where = { board: "pc", device, deviceId: virtioBalloonId, mode, runs: true } as const;
    await withDeviceOnQemu(where, async (found) => {
      let told = 0;
      const statistics = () => {
        told++;
        return new Map([
          [BalloonTag.SwapIn, 0x1122_3344_5566n],
          [BalloonTag.MinorFaults, BigInt(1000 + told)],
          [BalloonTag.FreeMemory, 0x7fff_ffff_ffffn],
          [BalloonTag.TotalMemory, 0x1_0000_0000n],
        ]);
      };
      const driver = await VirtioBalloonDriver.open(found.open(), { statistics });
      const { machine } = found;
      const path = "/machine/peripheral/balloon";
      await machine.qmp.execute("qom-set", { path, property: "guest-stats-polling-interval", value: 1 });
      await found.until(() => told >= 3);
      const shown = (await machine.qmp.execute("qom-get", { path, property: "guest-stats" })) as {
        stats: Record<string, number>;
      };
      const { stats } = shown;
      assert.equal(stats["stat-swap-in"], 0x1122_3344_5566);
      assert.equal(stats["stat-free-memory"], 0x7fff_ffff_ffff);
      assert.equal(stats["stat-total-memory"], 0x1_0000_0000);
      assert.ok((stats["stat-minor-faults"] ?? 0) > 1000);
      assert.ok((stats["stat-major-faults"] ?? 0) < 0 || (stats["stat-major-faults"] ?? 0) > 2 ** 63, "left out");
      await driver.close();
    });
  }
});
