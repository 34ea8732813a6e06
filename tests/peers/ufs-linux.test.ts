/**
 * Linux's `ufs` on volumes of ours: SVR4's and SunOS's directories, 4.4BSD's, holes, three levels of indirect blocks, groups
 * that are moved against each other. It reads them through a disk that we serve, and must find what we find.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UfsFileSystem } from "../../src/filesystem/index.js";
import { readPartitions } from "../../src/partition/index.js";
import { makeRdb } from "../../src/partition/make-rdb.js";
import { blockReaderOf } from "../../src/testing/block-reader-of.js";
import { makeUfsVolume, seededRandom, type UfsTree, type UfsVolumeSpec } from "../../src/testing/index.js";
import { after, before, test } from "./limited-test.js";
import { runGuest, whyNoGuest } from "./linux/guest.js";
import { treeOf, treeScript } from "./linux/tree-report.js";
import { startBackEnd } from "./vhost-processes.js";

const missing = whyNoGuest("amd64-generic");
const options = missing === undefined ? {} : { skip: missing };
const random = seededRandom(9);
const bytesOf = (length: number) => Uint8Array.from({ length }, () => random.below(256));

interface Volume {
  readonly name: string;
  /** Linux's name of the kind. */
  readonly ufstype: string;
  readonly spec: UfsVolumeSpec;
}

const volumes: readonly Volume[] = [
  { name: "sun", ufstype: "sun", spec: { format: "svr4" } },
  { name: "old", ufstype: "old", spec: { format: "svr4", blockSize: 4096, fragmentSize: 512, blocksPerGroup: 512 } },
  {
    name: "moved",
    ufstype: "sun",
    spec: { format: "svr4", groups: 7, blocksPerGroup: 160, groupOffset: 8, groupMask: 0xffff_fffc, scatter: random },
  },
  {
    name: "bsd",
    ufstype: "44bsd",
    spec: { format: "4.4bsd", blockSize: 4096, fragmentSize: 4096, blocksPerGroup: 512 },
  },
];

const tail = bytesOf(5000);
/** Where the tail of the file `triple` is: behind three levels of indirect blocks of 4096 bytes. */
const tailBlock = 12 + 1024 + 1024 ** 2 + 777;
const tree: UfsTree = new Map(
  Object.entries({
    empty: "",
    ...Object.fromEntries([1, 511, 512, 513, 4095, 8191, 8193, 30_000].map((size) => [`size${size}`, bytesOf(size)])),
    large: bytesOf(1_500_000),
    holes: { size: 9_000_001, pieces: new Map([10_000, 200_000, 8_900_000].map((at) => [at, bytesOf(9000)])) },
    onlyHole: { size: 100_000, pieces: new Map() },
    triple: { size: tailBlock * 4096 + tail.length, pieces: new Map([[tailBlock * 4096, tail]]) },
    directory: new Map(Object.entries({ inner: new Map([["leaf", "leaf\n"]]), up: { target: "../size513" } })),
    many: new Map(Array.from({ length: 400 }, (_, index) => [`a-rather-long-name-${index}`, `${index}\n`])),
    long: { target: `${"directory/../".repeat(11)}size1` },
    hard: { hardLink: "directory/inner/leaf" },
    ["n".repeat(255)]: "a long name",
  } as const),
);

const cylinder = 128 * 512;
const cylinders = 160;

let folder = "";
before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringside-ufs-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("Linux's ufs finds on our volumes what we find: SVR4, SunOS, 4.4BSD", options, async (t) => {
  const disk = new Uint8Array((volumes.length + 1) * cylinders * cylinder);
  const slices = volumes.map(({ name }, index) => {
    const lowCylinder = (index + 1) * cylinders;
    return { name, dosType: 0x554e_4901, lowCylinder, highCylinder: lowCylinder + cylinders - 1 };
  });
  disk.set(makeRdb({ cylinders: (volumes.length + 1) * cylinders, partitions: slices }));
  for (const [index, { spec }] of volumes.entries()) {
    disk.set(makeUfsVolume({ ...spec, root: tree }), (index + 1) * cylinders * cylinder);
  }
  const image = join(folder, "disk.img");
  writeFileSync(image, disk);
  const socket = join(folder, "disk.sock");
  const backEnd = await startBackEnd(socket, "blk", image, "--read-only");
  const told = new Map<string, string[]>();
  try {
    const script = volumes.flatMap(({ name, ufstype }, index) => [
      `mount -t ufs -o ro,ufstype=${ufstype} /dev/vda${index + 1} /mnt || { dmesg | tail -n 5; exit 1; }`,
      "cd /mnt",
      treeScript(name, "triple"),
      `echo "@@${name}-triple $(stat -c %s triple) $(dd if=triple bs=4096 skip=${tailBlock} 2>/dev/null | md5sum)"`,
      "cd /; umount /mnt",
    ]);
    const { lines } = await runGuest({
      architecture: "amd64-generic",
      script: script.join("\n"),
      modules: ["virtio_blk", "ufs"],
      devices: ["-chardev", `socket,id=c,path=${socket}`, "-device", "vhost-user-blk-pci,chardev=c"],
    });
    for (const line of lines) {
      const [name, ...words] = line.split(" ");
      told.set(name, [...(told.get(name) ?? []), words.join(" ")]);
    }
  } finally {
    await backEnd.stop();
  }
  const reader = blockReaderOf(disk, 512);
  const { partitions } = await readPartitions(reader);
  for (const [index, { name, spec }] of volumes.entries()) {
    await t.test(`${name}: ${spec.format}`, async () => {
      const fileSystem = await UfsFileSystem.open(reader, partitions[index]);
      assert.equal(fileSystem.geometry.directoryFormat, spec.format);
      const theirs = (told.get(name) ?? []).sort();
      assert.ok(theirs.length > 400);
      assert.deepEqual(await treeOf(fileSystem, "triple"), theirs);
      assert.equal(told.get(`${name}-triple`)?.[0].replace(/ +-$/, ""), await tripleOf(fileSystem));
    });
  }
});

/** Length of the file `triple` and the sum of its tail, as Linux tells them. */
async function tripleOf(fileSystem: UfsFileSystem): Promise<string> {
  let length = 0;
  const sum = createHash("md5");
  for await (const piece of fileSystem.pieces("triple")) {
    const from = Math.max(0, tailBlock * 4096 - length);
    if (from < piece.length) sum.update(piece.subarray(from));
    length += piece.length;
  }
  return `${length} ${sum.digest("hex")}`;
}
