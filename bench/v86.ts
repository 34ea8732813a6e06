/**
 * `ringside bench v86`: what a disk request costs in a PC in v86, from a profile: our device, the bridge to v86, and the
 * emulated processor that asks.
 */
import { Session } from "node:inspector/promises";
import { Disk, ScsiBus } from "../src/scsi/index.js";
import { MemoryStore } from "../src/storage/index.js";
import type { DeviceType } from "../src/transport/index.js";
import { VirtioBlkDevice, VirtioScsiDevice } from "../src/virtio/index.js";
import { bootLinux, linuxFiles, makePc, whyNoV86Linux } from "../tests/peers/v86-guest.js";

const requests = 4000;
const warmUp = 2000;
const classCode = 0x01_0000;
const samplingMicroseconds = 500;
/** Whose time it is, by the file that a function is in. */
const owners = ["our devices", "bridge to v86", "v86", "nobody (idle)", "others (Node, collector)"] as const;

export async function benchV86(print: (line: string) => void): Promise<void> {
  const missing = whyNoV86Linux();
  if (missing !== undefined) return print(missing);
  const pc = await makePc(linuxFiles());
  try {
    const bus = new ScsiBus();
    bus.attach(0, 0, new Disk(new MemoryStore(64 << 20)));
    const disks: readonly [name: string, device: DeviceType, registers: "legacy" | "modern", path: string][] = [
      ["virtio-blk, legacy", new VirtioBlkDevice(new MemoryStore(64 << 20)), "legacy", "/dev/vda"],
      ["virtio-blk, modern", new VirtioBlkDevice(new MemoryStore(64 << 20)), "modern", "/dev/vdb"],
      ["virtio-scsi, modern", new VirtioScsiDevice(bus), "modern", "/dev/sda"],
    ];
    for (const [, device, registers] of disks) pc.plugVirtio(device, { classCode, registers });
    const shell = await bootLinux(pc);
    print(`${requests} direct reads of 4 KiB, one at a time, by Linux; µs of processor time a request`);
    for (const [name, , , path] of disks) {
      const read = (count: number) =>
        shell.run(`dd if=${path} of=/dev/null bs=4k count=${count} iflag=direct 2>/dev/null`);
      await read(warmUp);
      const session = new Session();
      session.connect();
      await session.post("Profiler.enable");
      await session.post("Profiler.setSamplingInterval", { interval: samplingMicroseconds });
      await session.post("Profiler.start");
      const started = performance.now();
      await read(requests);
      const seconds = (performance.now() - started) / 1000;
      const { profile } = await session.post("Profiler.stop");
      session.disconnect();
      const shares = sharesOf(profile);
      const cells = owners.map((owner) => `${owner} ${((shares.get(owner) ?? 0) / requests).toFixed(1)}`);
      print(`${name}: ${(requests / seconds).toFixed(0)} requests/s; ${cells.join(", ")}`);
    }
  } finally {
    await pc.emulator.destroy();
  }
}

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
}

/** Microseconds by owner. */
function sharesOf(profile: {
  readonly nodes: readonly ProfileNode[];
  readonly samples?: readonly number[] | undefined;
  readonly timeDeltas?: readonly number[] | undefined;
}): Map<string, number> {
  const owner = new Map(profile.nodes.map((node) => [node.id, ownerOf(node)]));
  const shares = new Map<string, number>();
  for (const [index, id] of (profile.samples ?? []).entries()) {
    const name = owner.get(id) ?? owners[4];
    shares.set(name, (shares.get(name) ?? 0) + (profile.timeDeltas?.[index] ?? 0));
  }
  return shares;
}

function ownerOf({ callFrame: { functionName, url } }: ProfileNode): (typeof owners)[number] {
  if (functionName === "(idle)") return owners[3];
  if (url.startsWith("wasm:") || url.includes("/libv86.")) return owners[2];
  if (url.includes("/src/platform/v86/")) return owners[1];
  return url.includes("/src/") ? owners[0] : owners[4];
}
