/** The teaching kernel's disk driver on QEMU's virtio-blk, where the kernel itself runs. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { boards, type FoundMmioAdapter, findVirtioAdapters, mmioParts, settle } from "../../src/machine/index.js";
import type { TraceEvent } from "../../src/observe/index.js";
import { catXv6, listXv6, Xv6Kernel } from "../../src/os/index.js";
import { findQemu, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { seededRandom } from "../../src/testing/index.js";
import { makeXv6Image, type Xv6Tree } from "../../src/testing/xv6-mkfs.js";
import { after, before, test } from "./limited-test.js";

const board = boards["riscv-virt"];
const random = seededRandom(9);
const big = Uint8Array.from({ length: 268 * 1024 }, () => random.below(256));
const root: Xv6Tree = new Map<string, Uint8Array | string | Xv6Tree>([
  ["README", "hello from QEMU\n"],
  ["big", big],
]);
let folder = "";
let image = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-xv6-"));
  image = join(folder, "fs.img");
  writeFileSync(image, makeXv6Image({ root }));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function missing(): string | false {
  try {
    findQemu(board);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}
const skip = missing();

async function withKernel(
  profile: "strict" | "extended",
  work: (kernel: Xv6Kernel, machine: QemuMachine) => Promise<void>,
  emit: (event: TraceEvent) => void = () => {},
): Promise<void> {
  const machine = await startQemuMachine({ board, adapters: [{ kind: "virtio-blk", disks: [{ image }] }] });
  try {
    const adapter = findVirtioAdapters(machine)[0] as FoundMmioAdapter;
    const hardware = mmioParts(machine, adapter, { observer: { emit } });
    const kernel = await settle(machine, Xv6Kernel.start(hardware, { profile }));
    await settle(machine, work(kernel, machine));
    await settle(machine, kernel.close());
  } finally {
    await machine.close();
  }
}

for (const profile of ["strict", "extended"] as const) {
  test(`${profile}: lists and prints files`, { skip }, () =>
    withKernel(profile, async (kernel) => {
      assert.deepEqual(
        (await listXv6(kernel, "/")).map(({ name, size }) => `${name} ${size}`),
        [". 1024", ".. 1024", "README 16", `big ${big.length}`],
      );
      const parts: Uint8Array[] = [];
      for await (const piece of catXv6(kernel, "/big")) parts.push(piece);
      assert.deepEqual(Buffer.concat(parts), Buffer.from(big));
    }),
  );

  test(`${profile}: writes and reads back, many at a time`, { skip }, () =>
    withKernel(profile, async (kernel) => {
      const numbers = Array.from({ length: 20 }, (_, index) => 1500 + index);
      await Promise.all(
        numbers.map(async (number) => {
          const buffer = await kernel.cache.read(number);
          buffer.data.fill(number & 0xff);
          await kernel.cache.write(buffer);
          kernel.cache.release(buffer);
        }),
      );
      for (let number = 0; number < 40; number++) kernel.cache.release(await kernel.cache.read(number));
      for (const number of numbers) {
        const buffer = await kernel.cache.read(number);
        assert.ok(buffer.data.every((byte) => byte === (number & 0xff)));
        kernel.cache.release(buffer);
      }
    }),
  );
}

/** What QEMU 7.2 (`-trace virtio_mmio*`) shows of the teaching kernel's boot, values of features and pages left out. */
const golden = `
R magicValue, R version, R deviceId, R vendorId, W status 0, W status 1, W status 3,
R deviceFeatures, W driverFeatures *, W status 11, R status, W queueSelect 0, R queueReady, R queueSizeMax,
W queueSize 8, W queueDescriptorsLow *, W queueDescriptorsHigh 0, W queueAvailableLow *, W queueAvailableHigh 0,
W queueUsedLow *, W queueUsedHigh 0, W queueReady 1, W status 15,
W queueNotify 0, R interruptStatus, W interruptAck 1, W queueNotify 0, R interruptStatus, W interruptAck 1`
  .split(",")
  .map((line) => line.trim());

test("strict: every register access of boot and of two reads is the kernel's own, and QEMU takes it", {
  skip,
}, async () => {
  const lines: string[] = [];
  await withKernel(
    "strict",
    async (kernel) => {
      for (const number of [1, 33]) kernel.cache.release(await kernel.cache.read(number));
      assert.deepEqual(lines, golden);
    },
    ({ category, name, fields }) => {
      if (category !== "registers") return;
      const { register, value } = fields as { register: string; value: number };
      const text = /Features$|Low$/.test(register) ? "*" : value;
      lines.push(name === "read" ? `R ${register}` : `W ${register} ${text}`);
    },
  );
});
