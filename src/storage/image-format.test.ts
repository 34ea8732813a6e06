import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { recogniseImage } from "./index.js";

/** A disk of 64 KiB with these bytes at these places. */
function disk(places: Record<number, string | number[]>): Uint8Array {
  const bytes = new Uint8Array(65536);
  for (const [at, content] of Object.entries(places)) {
    const list = typeof content === "string" ? Array.from(content, (letter) => letter.charCodeAt(0)) : content;
    bytes.set(list, Number(at));
  }
  return bytes;
}

const look = (bytes: Uint8Array) => recogniseImage(bytes.subarray(0, 4096), bytes.subarray(-1024))?.name;

describe("raw disks are taken for raw disks", () => {
  const raw: [string, Uint8Array][] = [
    ["zeros", disk({})],
    ["an MBR", disk({ 0: [0xfa, 0x33, 0xc0], 446: [0x80, 0, 2, 0, 0x83], 510: [0x55, 0xaa] })],
    ["an Amiga RDB", disk({ 0: "RDSK" })],
    ["an Amiga boot block", disk({ 0: "DOS\x03" })],
    ["a FAT boot sector", disk({ 0: "\xeb\x3c\x90MSDOS5.0", 510: [0x55, 0xaa] })],
    ["a disk encrypted by its own system", disk({ 0: "LUKS\xba\xbe\0\x01" })],
    ["boot code that begins as gzip does", disk({ 0: [0x1f, 0x8b, 0x08, 0xff], 510: [0x55, 0xaa] })],
    ["text that begins as QED does", disk({ 0: "QED\0, quod erat" })],
    ["a disk that has a VHD's cookie but not its sum at the end", disk({ [65536 - 512]: "conectix" })],
    ["a disk whose last sector has koly only", disk({ [65536 - 512]: "koly" })],
  ];
  for (const [name, bytes] of raw) test(name, () => assert.equal(look(bytes), undefined));
});

describe("containers by their marks", () => {
  test("a DMG by its last sector", () => {
    assert.equal(look(disk({ [65536 - 512]: "koly\0\0\0\x04\0\0\x02\0" })), "DMG");
  });

  test("a fixed VHD by its last sector, of 512 bytes or of 511 as old ones have", () => {
    for (const length of [512, 511]) {
      const bytes = disk({ [65536 - length]: "conectix\0\0\0\x02" });
      let sum = 0;
      for (const byte of bytes) sum += byte;
      new DataView(bytes.buffer).setUint32(65536 - length + 64, ~sum >>> 0);
      assert.equal(look(bytes), "VHD");
    }
  });

  test("a VMDK descriptor in text", () => {
    assert.equal(look(disk({ 0: "# Disk DescriptorFile\nversion=1\n" })), "VMDK");
  });
});

test("any bytes at all, and any length, are looked at without a throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2048 }), fc.uint8Array({ maxLength: 1024 }), (head, tail) => {
      recogniseImage(head, tail);
    }),
  );
});
