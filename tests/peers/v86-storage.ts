/** The disks of a PC in v86: virtio-blk and virtio-scsi over every register interface and both ring formats. */
import { createHash } from "node:crypto";
import { Scatter } from "../../src/memory/index.js";
import type { V86Pc, V86Registers } from "../../src/platform/v86/index.js";
import { Disk, ScsiBus } from "../../src/scsi/index.js";
import type { MemoryStore } from "../../src/storage/index.js";
import { featureSet, ringFeatures, type VirtioPciDevice } from "../../src/transport/index.js";
import { VirtioBlkDevice, VirtioScsiDevice } from "../../src/virtio/index.js";
import type { GuestShell } from "./v86-guest.js";

const { INDIRECT_DESC, EVENT_IDX, RING_PACKED } = ringFeatures;
const split = featureSet(INDIRECT_DESC, EVENT_IDX);
const packed = split | featureSet(RING_PACKED);
const classCode = 0x01_0000;
const diskSize = 12 << 20;

/** One disk. */
export interface Variant {
  readonly kind: "blk" | "scsi";
  readonly registers: V86Registers;
  readonly rings: bigint;
  /** Requests that the quick test makes, in thousands; an interrupt raised inside a memory access breaks the guest after 3240. */
  readonly thousands: number;
}

/** Every disk. */
export const variants: readonly Variant[] = (["blk", "scsi"] as const).flatMap((kind) => [
  { kind, registers: "legacy", rings: split, thousands: 1 },
  { kind, registers: "modern-io", rings: split, thousands: 1 },
  { kind, registers: "modern", rings: split, thousands: 4 },
  { kind, registers: "modern", rings: packed, thousands: 1 },
]);

/** The ring format that a driver is to choose. */
export function ringsOf({ rings }: Variant): "split" | "packed" {
  return rings === packed ? "packed" : "split";
}

/** For people. */
export function nameOf(variant: Variant): string {
  return `virtio-${variant.kind}, ${variant.registers}, ${ringsOf(variant)}`;
}

/** Bytes of a disk: sizes tell disks from each other in the guest. */
export function sizeOf(index: number): number {
  return diskSize + index * 4096;
}

/** Plugs every disk in. */
export function plugStorage(pc: V86Pc, stores: readonly MemoryStore[]): VirtioPciDevice[] {
  return variants.map(({ kind, registers, rings }, index) => {
    const options = { classCode, registers, ringFeatures: rings };
    if (kind === "blk") return pc.plugVirtio(new VirtioBlkDevice(stores[index]), options);
    const bus = new ScsiBus();
    bus.attach(0, 0, new Disk(stores[index]));
    return pc.plugVirtio(new VirtioScsiDevice(bus), options);
  });
}

/** Names of the disks in a guest, in the order of {@link variants}. @throws Error when one is missing */
export async function diskNames(shell: GuestShell): Promise<string[]> {
  const sizes = await shell.run("for d in /sys/block/[vs]d*; do echo $(basename $d) $(cat $d/size); done");
  const names = new Map(sizes.split("\n").map((line) => [Number(line.split(" ")[1]) * 512, line.split(" ")[0]]));
  return variants.map((variant, index) => {
    const name = names.get(sizeOf(index));
    if (name === undefined) throw new Error(`the guest has no ${nameOf(variant)} of ${sizeOf(index)} bytes:\n${sizes}`);
    return name;
  });
}

/** Bytes that no other seed has. */
export function patterned(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const words = new Uint32Array(bytes.buffer);
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + seed * 0x10001, 0x9e37_79b1);
  return bytes;
}

/** All that a store holds. */
export function bytesOf(store: MemoryStore): Uint8Array {
  const bytes = new Uint8Array(store.byteLength);
  store.read(0, Scatter.of(bytes), bytes.length);
  return bytes;
}

/** In hexadecimal, as busybox prints it. */
export function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("hex");
}
