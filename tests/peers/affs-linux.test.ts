/**
 * Linux's `affs` on a disk that we serve, partitioned and formatted by our own code: what it finds of our files, and what we
 * and GRUB find of its.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AffsTree, makeAffsVolume } from "../../src/filesystem/affs/make-volume.js";
import { AffsFileSystem, readWhole } from "../../src/filesystem/index.js";
import { readPartitions } from "../../src/partition/index.js";
import { makeRdb } from "../../src/partition/make-rdb.js";
import { blockReaderOf } from "../../src/testing/block-reader-of.js";
import { seededRandom } from "../../src/testing/index.js";
import { after, before, test } from "./limited-test.js";
import { startGrub, whyNoGrub } from "./linux/grub-fstest.js";
import { runGuest, whyNoGuest } from "./linux/guest.js";
import { treeOf, treeScript } from "./linux/tree-report.js";
import { startBackEnd } from "./vhost-processes.js";

const missing = whyNoGuest("amd64-generic");
const options = missing === undefined ? {} : { skip: missing };

interface Volume {
  readonly name: string;
  readonly kind: number;
  readonly blockSize: number;
}

/** A partition each. Linux's affs mounts volumes with directory caches for reading only, and knows no long names. */
const volumes: readonly Volume[] = [
  { name: "DH0", kind: 0, blockSize: 512 },
  { name: "DH1", kind: 1, blockSize: 512 },
  { name: "DH2", kind: 2, blockSize: 1024 },
  { name: "DH3", kind: 3, blockSize: 512 },
  { name: "DH4", kind: 3, blockSize: 4096 },
  { name: "DH5", kind: 5, blockSize: 512 },
  { name: "DH6", kind: 4, blockSize: 2048 },
];
const isWritable = ({ kind }: Volume) => kind < 4;

const cylinder = 128 * 512;
const cylinders = 96;
const random = seededRandom(55);
const bytesOf = (length: number) => Uint8Array.from({ length }, () => random.below(256));
const big = bytesOf(300_000);
/** What our own code puts on each volume. */
const ours: AffsTree = new Map(
  Object.entries({
    hello: "hello from our own formatter\n",
    big,
    empty: "",
    dir: new Map(Object.entries({ inner: bytesOf(488 * 3), deeper: new Map([["leaf", "leaf\n"]]) })),
    hard: { hardLink: "big" },
    soft: { softLink: ":dir/inner" },
    lots: new Map(Array.from({ length: 150 }, (_, index) => [`entry${index}`, `${index}\n`])),
  } as const),
);

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-affs-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function makeDisk(): Uint8Array {
  const disk = new Uint8Array((volumes.length + 1) * cylinders * cylinder);
  const partitions = volumes.map(({ name, kind }, index) => {
    const lowCylinder = (index + 1) * cylinders;
    return { name, dosType: 0x444f_5300 + kind, lowCylinder, highCylinder: lowCylinder + cylinders - 1 };
  });
  disk.set(makeRdb({ cylinders: (volumes.length + 1) * cylinders, partitions }));
  for (const [index, { name, kind, blockSize }] of volumes.entries()) {
    const blocks = (cylinders * cylinder) / blockSize;
    const spec = { dosType: 0x444f_5300 + kind, blockSize, blocks, name, root: ours };
    const volume = makeAffsVolume(index % 2 === 0 ? spec : { ...spec, scatter: random });
    disk.set(volume, (index + 1) * cylinders * cylinder);
  }
  return disk;
}

/** Linux looks at our files, writes its own, and tells of everything after another mount. */
const script = [
  "umask 022",
  "dd if=/dev/urandom of=/tmp/random bs=1k count=400 2>/dev/null",
  ...volumes.flatMap((volume, index) => {
    const { name } = volume;
    const tell = [`cd /mnt`, treeScript(name), "cd /", "umount /mnt"];
    const mount = `mount -t affs -o ro /dev/vda${index + 1} /mnt`;
    if (!isWritable(volume)) return [mount, ...tell];
    return [
      `mount -t affs /dev/vda${index + 1} /mnt`,
      "cd /mnt",
      "for n in 0 1 487 488 489 511 512 513 36864 36865 300000; do head -c $n /tmp/random > size$n; done",
      "mkdir -p made/by/linux many",
      "cp /tmp/random made/by/linux/random",
      "n=0; while [ $n -lt 120 ]; do echo $n > many/file$n; n=$((n + 1)); done",
      "rm many/file7 many/file77; mv many/file9 made/moved; mv made/by/linux made/renamed",
      "head -c 70000 /tmp/random >> many/file8",
      "head -c 900 /tmp/random > size36865",
      "ln size300000 made/hard; ln -s ../size1 made/up; ln -s made/by/../moved across; ln -s /made/moved absolute",
      "ln -s abcdefghijklmnopqrstuvwxyz/abcdefghijklmnopqrstuvwxyz/abcdefghijklmnopqrstuvwxyz longlink",
      "echo long > abcdefghijklmnopqrstuvwxyz1234; echo Case > MiXed; echo accent > \"$(printf 'caf\\351')\"",
      "chmod 444 size511",
      "cd /; umount /mnt",
      "echo 3 > /proc/sys/vm/drop_caches",
      mount,
      ...tell,
    ];
  }),
].join("\n");

test(
  "Linux's affs writes on volumes that we formatted and served; we and GRUB read what it wrote",
  options,
  async (t) => {
    const image = join(folder, "disk.hdf");
    writeFileSync(image, makeDisk());
    const socket = join(folder, "disk.sock");
    const backEnd = await startBackEnd(socket, "blk", image);
    const told = new Map<string, string[]>();
    try {
      const { lines } = await runGuest({
        architecture: "amd64-generic",
        script,
        modules: ["virtio_blk", "affs"],
        devices: ["-chardev", `socket,id=c,path=${socket}`, "-device", "vhost-user-blk-pci,chardev=c"],
      });
      for (const line of lines) {
        const [name, ...words] = line.split(" ");
        told.set(name, [...(told.get(name) ?? []), words.join(" ")]);
      }
    } finally {
      await backEnd.stop();
    }
    const disk = new Uint8Array(readFileSync(image));
    const reader = blockReaderOf(disk, 512);
    const { partitions, notes } = await readPartitions(reader);
    assert.deepEqual(notes, []);
    assert.deepEqual(
      partitions.map(({ name }) => name),
      volumes.map(({ name }) => name),
    );
    for (const [index, volume] of volumes.entries()) {
      await t.test(`${volume.name}: ${partitions[index].type}, blocks of ${volume.blockSize}`, async () => {
        const fileSystem = await AffsFileSystem.open(reader, partitions[index]);
        assert.equal(fileSystem.volume.blockSize, volume.blockSize);
        assert.equal(fileSystem.volume.name, volume.name);
        const theirs = comparable(told.get(volume.name) ?? []);
        assert.ok(theirs.length > (isWritable(volume) ? 300 : 150), `${theirs.length} lines`);
        assert.deepEqual(comparable(await treeOf(fileSystem)), theirs);
        assert.deepEqual(await readWhole(fileSystem, "hard"), big);
        if (isWritable(volume)) await checkLinks(fileSystem);
      });
    }
    await t.test(
      "GRUB reads the same from FFS volumes",
      { ...(whyNoGrub() ? { skip: whyNoGrub() } : {}) },
      async () => {
        const grub = startGrub();
        try {
          for (const [index, volume] of volumes.entries()) {
            // It knows no OFS.
            if ((volume.kind & 1) === 0) continue;
            const { firstBlock, blocks } = partitions[index];
            const path = join(folder, `${volume.name}.img`);
            writeFileSync(path, disk.subarray(firstBlock * 512, (firstBlock + blocks) * 512));
            const fileSystem = await AffsFileSystem.open(reader, partitions[index]);
            await compareWithGrub(grub, path, fileSystem);
          }
        } finally {
          grub.close();
        }
      },
    );
  },
);

/** Lines without what cannot be the same: Linux turns link texts into its own form, and its names are no UTF-8 here. */
function comparable(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/^l .* (?=\.\/)/, "l ").replace(/[\x80-\xff]/g, "\ufffd")).sort();
}

async function checkLinks(fileSystem: AffsFileSystem): Promise<void> {
  const text = async (path: string) => new TextDecoder().decode(await readWhole(fileSystem, path));
  assert.equal(await text("absolute"), "9\n");
  assert.equal(await text("MIXED"), "Case\n");
  assert.equal((await fileSystem.stat("made/hard")).inode, (await fileSystem.stat("size300000")).inode);
  assert.equal((await readWhole(fileSystem, "made/up")).length, 1);
  assert.equal(await text("across"), "9\n");
  assert.equal(await text("CAF\xe9"), "accent\n");
  assert.equal((await fileSystem.stat("size511")).mode, "----r--d");
  const { target } = await fileSystem.stat("longlink");
  assert.equal(target, Array(3).fill("abcdefghijklmnopqrstuvwxyz").join("/"));
}

/** Lists of all directories, and files of every kind of length. */
async function compareWithGrub(grub: ReturnType<typeof startGrub>, image: string, fileSystem: AffsFileSystem) {
  for (const path of ["/", "/dir", "/lots"]) {
    const entries = await fileSystem.entries(path);
    const names = entries.map(({ name, type }) => (type === "directory" ? `${name}/` : name)).sort();
    assert.deepEqual(grub.list(image, path).sort(), names);
  }
  for (const { name, type, size } of await fileSystem.entries("/")) {
    if (type === "file")
      assert.deepEqual(grub.cat(image, `/${name}`), Buffer.from(await readWhole(fileSystem, name)), name);
    else assert.equal(size >= 0, true);
  }
}
