/** What sfdisk, fdisk and parted make is what we read: every number is compared with the tool's own listing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type BlockReader, type PartitionTable, readPartitions } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-partition-"));
after(() => rmSync(folder, { recursive: true }));
const mebi = 1024 * 1024;
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: "C.UTF-8" };
const lacks = (tool: string) =>
  spawnSync(tool, ["--version"], { env }).error !== undefined && `${tool} is not installed`;

let images = 0;
function image(size: number): string {
  const path = join(folder, `disk${images++}.img`);
  writeFileSync(path, "");
  truncateSync(path, size);
  return path;
}

function run(tool: string, args: string[], input?: string): string {
  const result = spawnSync(tool, args, { env, encoding: "utf8", ...(input === undefined ? {} : { input }) });
  assert.equal(result.status, 0, `${tool} ${args.join(" ")}: ${result.stderr}`);
  return result.stdout;
}

async function read(path: string, size: number, blockSize = 512): Promise<PartitionTable> {
  const fd = openSync(path, "r");
  const reader: BlockReader = {
    blockSize,
    blocks: size / blockSize,
    readBlocks: async (lba, count) => {
      const bytes = new Uint8Array(count * blockSize);
      readSync(fd, bytes, 0, bytes.length, lba * blockSize);
      return bytes;
    },
  };
  try {
    return await readPartitions(reader);
  } finally {
    closeSync(fd);
  }
}

interface SfdiskTable {
  label: string;
  partitions: { node: string; start: number; size: number; type: string; name?: string; bootable?: boolean }[];
}
const sfdiskTable = (path: string): SfdiskTable =>
  (JSON.parse(run("sfdisk", ["--json", path])) as { partitiontable: SfdiskTable }).partitiontable;

describe("sfdisk", { skip: lacks("sfdisk") }, () => {
  test("gpt: numbers, types, names in UTF-16, the legacy boot flag", async () => {
    const path = image(64 * mebi);
    const script = `label: gpt
      start=2048,size=8192,name="boot é 漢字",type=U
      size=16384,type=L,attrs=LegacyBIOSBootable
      size=2048,type=21686148-6449-6E6F-744E-656564454649
      type=12345678-9ABC-DEF0-1234-56789ABCDEF0`;
    run("sfdisk", ["-q", path], script);
    const table = await read(path, 64 * mebi);
    assert.deepEqual([table.scheme, table.notes], ["gpt", []]);
    assert.deepEqual(
      table.partitions.map((p) => [p.index, p.firstBlock, p.blocks, p.typeCode]),
      sfdiskTable(path).partitions.map((p, index) => [index + 1, p.start, p.size, p.type]),
    );
    assert.deepEqual(
      table.partitions.map((p) => [p.name, p.type, p.bootable]),
      [
        ["boot é 漢字", "EFI system", false],
        ["partition 2", "Linux", true],
        ["partition 3", "BIOS boot", false],
        ["partition 4", "unknown", false],
      ],
    );
  });

  test("dos: primary, extended and logical partitions, with a hole in the numbers", async () => {
    const path = image(64 * mebi);
    const script = `label: dos
      1: start=2048,size=8192,type=c,bootable
      2: start=16384,size=90112,type=5
      4: start=110592,size=4096,type=83
      5: start=18432,size=4096,type=83
      6: start=24576,size=8192,type=82
      7: start=40960,size=65536,type=76`;
    run("sfdisk", ["-q", path], script);
    const table = await read(path, 64 * mebi);
    assert.deepEqual([table.scheme, table.notes], ["mbr", []]);
    assert.deepEqual(
      table.partitions.map((p) => [p.index, p.firstBlock, p.blocks, Number(p.typeCode), p.bootable]),
      sfdiskTable(path).partitions.map((p) => [
        Number(p.node.slice(path.length)),
        p.start,
        p.size,
        Number.parseInt(p.type, 16),
        p.bootable ?? false,
      ]),
    );
    assert.deepEqual(
      table.partitions.map((p) => p.type),
      ["FAT32 (LBA)", "extended", "Linux", "Linux", "Linux swap", "Amiga RDB"],
    );
  });

  test("dos without partitions is an empty MBR", async () => {
    const path = image(4 * mebi);
    run("sfdisk", ["-q", path], "label: dos\n");
    const table = await read(path, 4 * mebi);
    assert.deepEqual(table, { scheme: "mbr", partitions: [], notes: [] });
  });

  test("60 logical partitions", async () => {
    const path = image(256 * mebi);
    const logical = Array.from({ length: 56 }, () => "size=4096,type=83").join("\n");
    run("sfdisk", ["-q", path], `label: dos\nsize=2048\nsize=2048\nsize=2048\ntype=f\n${logical}\n`);
    const table = await read(path, 256 * mebi);
    const theirs = sfdiskTable(path).partitions.map((p) => [p.start, p.size]);
    assert.equal(theirs.length, 60);
    assert.deepEqual(
      table.partitions.map((p) => [p.firstBlock, p.blocks]),
      theirs,
    );
  });
});

describe("fdisk with sectors of 4096 bytes", { skip: lacks("fdisk") }, () => {
  for (const [label, scheme, extra] of [
    ["g", "gpt", []],
    ["o", "mbr", ["n", "e", "2", "", "+16M", "n", "l", "", "+4M", "n", "l", "", ""]],
  ] as const) {
    test(scheme, async () => {
      const path = image(64 * mebi);
      const first = scheme === "gpt" ? ["n", "1", "", "+8M", "n", "2", "", ""] : ["n", "p", "1", "", "+8M"];
      run("fdisk", ["-b", "4096", path], [label, ...first, ...extra, "w", ""].join("\n"));
      const listing = run("fdisk", ["-b", "4096", "-l", "-o", "Device,Start,End,Sectors", path]);
      const theirs = [...listing.matchAll(/^\S+\.img(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$/gm)].map((line) =>
        [line[1], line[2], line[4]].map(Number),
      );
      const table = await read(path, 64 * mebi, 4096);
      assert.deepEqual([table.scheme, table.notes], [scheme, []]);
      assert.ok(theirs.length >= 2);
      assert.deepEqual(
        table.partitions.map((p) => [p.index, p.firstBlock, p.blocks]),
        theirs,
      );
    });
  }
});

describe("parted", { skip: lacks("parted") }, () => {
  for (const [label, scheme, names] of [
    ["amiga", "rdb", ["one", "two", "three"]],
    ["gpt", "gpt", ["one", "two", "three"]],
    ["msdos", "mbr", ["primary", "primary", "primary"]],
  ] as const) {
    test(`${label}`, async () => {
      const path = image(64 * mebi);
      run("parted", ["-s", path, "mklabel", label]);
      for (const [index, type] of ["ext2", "hfs", "ext2"].entries()) {
        run("parted", ["-s", path, "mkpart", names[index], type, `${1 + index * 10}MiB`, `${11 + index * 10}MiB`]);
      }
      const listing = run("parted", ["-s", "-m", path, "unit", "s", "print"]);
      const theirs = [...listing.matchAll(/^(\d+):(\d+)s:(\d+)s:(\d+)s:[^:]*:([^:]*):/gm)];
      const table = await read(path, 64 * mebi);
      assert.deepEqual([table.scheme, table.notes], [scheme, []]);
      assert.equal(theirs.length, 3);
      assert.deepEqual(
        table.partitions.map((p) => [p.index, p.firstBlock, p.blocks]),
        theirs.map((line) => [line[1], line[2], line[4]].map(Number)),
      );
      if (label !== "msdos") {
        assert.deepEqual(
          table.partitions.map((p) => p.name),
          theirs.map((line) => line[5]),
        );
      }
    });
  }

  test("the DosTypes that parted writes for its affs types are 0, and shown as unknown", async () => {
    const path = image(64 * mebi);
    run("parted", ["-s", path, "mklabel", "amiga", "mkpart", "DH0", "affs1", "1MiB", "30MiB"]);
    const table = await read(path, 64 * mebi);
    assert.deepEqual([table.partitions[0].type, table.partitions[0].typeCode], ["unknown", "0x00000000"]);
  });
});

describe("file systems without a partition table are no MBR", () => {
  test("ext4 as mkfs.ext4 makes it", { skip: lacks("mkfs.ext4") }, async () => {
    const path = image(8 * mebi);
    spawnSync("mkfs.ext4", ["-q", "-F", path], { env });
    assert.equal((await read(path, 8 * mebi)).scheme, "none");
  });

  test("FAT on a floppy as QEMU makes it", { skip: lacks("qemu-img") }, async () => {
    const path = image(0);
    run("qemu-img", ["convert", "-O", "raw", `json:{"driver":"vvfat","dir":"${fatFolder()}","floppy":true}`, path]);
    const table = await read(path, statSync(path).size);
    assert.deepEqual([table.scheme, table.notes], ["none", ["there is no partition table; block 0 is FAT's"]]);
  });

  for (const tool of ["mkfs.vfat", "mkfs.ntfs", "mkfs.exfat"]) {
    test(tool, { skip: lacks(tool) }, async () => {
      const path = image(64 * mebi);
      run(tool, tool === "mkfs.ntfs" ? ["-F", "-q", path] : [path]);
      const table = await read(path, 64 * mebi);
      assert.deepEqual([table.scheme, table.partitions.length], ["none", 0]);
      assert.match(table.notes.join(), /no partition table; block 0 is/);
    });
  }
});

test("a disk with an MBR and one FAT partition as QEMU makes it", { skip: lacks("qemu-img") }, async () => {
  const path = image(0);
  run("qemu-img", ["convert", "-O", "raw", `json:{"driver":"vvfat","dir":"${fatFolder()}"}`, path]);
  const table = await read(path, statSync(path).size);
  assert.deepEqual([table.scheme, table.notes], ["mbr", []]);
  assert.deepEqual(
    table.partitions.map((p) => [p.index, p.firstBlock, p.type, p.bootable]),
    [[1, 63, "FAT16", true]],
  );
});

/** A folder with one file, for QEMU's virtual FAT disk. */
function fatFolder(): string {
  const path = join(folder, "fat");
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "readme.txt"), "hello");
  return path;
}
