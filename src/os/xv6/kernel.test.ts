import assert from "node:assert/strict";
import { test } from "node:test";
import { boards, type FoundMmioAdapter, findVirtioAdapters, mmioParts } from "../../machine/index.js";
import { blockBytes } from "../../memory/index.js";
import { EmbeddedMachine } from "../../platform/embedded/index.js";
import { MemoryStore } from "../../storage/index.js";
import { seededRandom } from "../../testing/index.js";
import { makeXv6Image, type Xv6Tree } from "../../testing/xv6-mkfs.js";
import { VirtioBlkDevice } from "../../virtio/index.js";
import { catXv6, listXv6, Xv6Kernel } from "./index.js";

const random = seededRandom(5);
const big = Uint8Array.from({ length: 200_000 }, () => random.below(256));
const root: Xv6Tree = new Map<string, Uint8Array | string | Xv6Tree>([
  ["README", "xv6 is a teaching kernel\n"],
  ["big", big],
  ["bin", new Map([["cat", "not really"]])],
]);
const image = makeXv6Image({ root });

async function start(profile: "strict" | "extended", bytes = image) {
  const machine = new EmbeddedMachine(boards["riscv-virt"], { ramSize: 16 << 20 });
  const store = new MemoryStore(bytes.length);
  const copy = machine.dma.allocate(bytes.length, 512);
  blockBytes(copy).set(bytes);
  machine.plugMmio(new VirtioBlkDevice(store), { tolerant: true });
  const hardware = mmioParts(machine, findVirtioAdapters(machine)[0] as FoundMmioAdapter);
  const kernel = await Xv6Kernel.start(hardware, { profile });
  // The image gets onto the disk through the kernel's own driver.
  for (let block = 0; block < bytes.length / 1024; block++) {
    const data = { ...copy, address: copy.address + block * 1024, offset: copy.offset + block * 1024, size: 1024 };
    await kernel.disk.transfer(block, data, true);
  }
  return { kernel, machine };
}

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece.slice());
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

for (const profile of ["strict", "extended"] as const) {
  test(`${profile}: lists directories and files, prints files, through driver, device and cache`, async () => {
    const { kernel, machine } = await start(profile);
    assert.deepEqual(await listXv6(kernel, "/"), [
      { name: ".", inode: 1, type: "directory", size: 1024 },
      { name: "..", inode: 1, type: "directory", size: 1024 },
      { name: "README", inode: 2, type: "file", size: 25 },
      { name: "big", inode: 3, type: "file", size: 200_000 },
      { name: "bin", inode: 4, type: "directory", size: 1024 },
    ]);
    assert.deepEqual(await listXv6(kernel, "/bin/cat"), [{ name: "/bin/cat", inode: 5, type: "file", size: 10 }]);
    assert.equal(new TextDecoder().decode(await whole(catXv6(kernel, "README"))), "xv6 is a teaching kernel\n");
    assert.deepEqual(await whole(catXv6(kernel, "/big")), big);
    const { reads } = kernel.cache.counts;
    assert.deepEqual((await listXv6(kernel, "/bin")).length, 3);
    assert.equal(kernel.cache.counts.reads - reads <= 4, true, "what is cached is not read again");
    await assert.rejects(whole(catXv6(kernel, "/none")), /\/none: there is no such file/);
    await assert.rejects(whole(catXv6(kernel, "/bin")), /\/bin is a directory/);
    await kernel.close();
    await machine.close();
  });
}

test("two listings at a time share the cache and the disk", async () => {
  const { kernel } = await start("extended");
  const [one, other, bytes] = await Promise.all([
    listXv6(kernel, "/"),
    listXv6(kernel, "/bin"),
    whole(catXv6(kernel, "/big")),
  ]);
  assert.deepEqual([one.length, other.length], [5, 3]);
  assert.deepEqual(bytes, big);
  await kernel.close();
});

test("a disk without an xv6 file system is told in one line", async () => {
  const { kernel } = await start("extended", new Uint8Array(64 * 1024));
  await assert.rejects(listXv6(kernel, "/"), /there is no xv6 file system: magic 0x0/);
  await kernel.close();
});
