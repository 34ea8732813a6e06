/** The benchmarks of README's table, for `ringside bench`. Each prints its lines; none is a test. */

import { benchA4091 } from "./a4091.js";
import { benchAmigaos } from "./amigaos.js";
import { benchAmix } from "./amix.js";
import { benchBlk } from "./blk.js";
import { benchDiscovery } from "./discovery.js";
import { benchFaces } from "./faces.js";
import { benchIdle } from "./idle.js";
import { benchNet } from "./net.js";
import { benchRing } from "./ring.js";
import { benchScripts } from "./scripts.js";
import { benchScsi } from "./scsi.js";
import { benchStorport } from "./storport.js";
import { benchV86 } from "./v86.js";
import { benchVhost } from "./vhost.js";
import { benchGuest } from "./vhost-guest.js";

export interface Benchmark {
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  run(print: (line: string) => void): Promise<void>;
}

export const benchmarks: readonly Benchmark[] = [
  { name: "ring", title: "ring round trip against the same loop in C", run: benchRing },
  { name: "scsi", title: "virtio-scsi READ(10) above the bare copy, garbage collections", run: benchScsi },
  { name: "blk", title: "virtio-blk IN and OUT above the bare copy, garbage collections", run: benchBlk },
  { name: "net", title: "virtio-net packets from driver to driver, garbage collections", run: benchNet },
  { name: "storport", title: "the Storport face: SRBs a second, notifications a request", run: benchStorport },
  { name: "scripts", title: "53C710: SCRIPTS instructions, READ(10) beside virtio-scsi, targets", run: benchScripts },
  {
    name: "amigaos",
    title: "virtioscsi.device: IOPS, latency, notifies and interrupts, each improvement",
    run: benchAmigaos,
  },
  { name: "amix", title: "the Amix stack on an A4091: commands, interrupts, register accesses", run: benchAmix },
  { name: "a4091", title: "the A4091's driver: READs a second, interrupts and register accesses", run: benchA4091 },
  { name: "discovery", title: "memory of a disk, time to find 1, 8 and 64", run: benchDiscovery },
  {
    name: "faces",
    title: "operating-system faces: requests and register accesses, embedded and QEMU",
    run: benchFaces,
  },
  { name: "v86", title: "a disk request in a PC in v86: our part and the emulated processor's", run: benchV86 },
  { name: "vhost", title: "vhost-user-blk server against qemu-storage-daemon", run: benchVhost },
  { name: "guest", title: "a Linux guest under TCG on our server and on qemu-storage-daemon", run: benchGuest },
  { name: "idle", title: "what a vhost-user server costs that has nothing to do", run: benchIdle },
];
