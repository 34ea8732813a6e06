/** The disk that `ringside run` makes when it is given none: an Amiga's, with a volume that holds two files. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { type AffsNode, makeAffsVolume } from "../filesystem/index.js";
import { makeRdb } from "../partition/index.js";

const blockSize = 512;
/** Of 4 surfaces and 32 blocks a track: 64 KiB. */
const cylinderBlocks = 4 * 32;
const cylinders = 1024;
const volume = { name: "DH0", dosType: 0x444f_5303, lowCylinder: 2, highCylinder: 255 };
/** A file system that is named and not read, as on many a real disk. */
const other = { name: "DH1", dosType: 0x5046_5303, lowCylinder: 256, highCylinder: cylinders - 1 };

const readMe = `This disk was made by "ringside run", and goes away when that ends.
Give it your own: ringside run disk.img
`;

/** Makes the image at `path`, which must not exist yet. */
export function writeSampleDisk(path: string): void {
  const start = (cylinder: number) => cylinder * cylinderBlocks * blockSize;
  const partitions = [{ ...volume, bootable: true }, other];
  const contents = makeAffsVolume({
    name: "Sample",
    dosType: volume.dosType,
    blocks: (volume.highCylinder - volume.lowCylinder + 1) * cylinderBlocks,
    date: new Date(),
    root: new Map<string, AffsNode>([
      ["ReadMe", readMe],
      ["S", new Map([["Startup-Sequence", 'Echo "Hello from the other side of the ring"\n']])],
    ]),
  });
  const otherStart = new DataView(new ArrayBuffer(4));
  otherStart.setUint32(0, other.dosType);

  const file = openSync(path, "wx", 0o600);
  try {
    ftruncateSync(file, start(cylinders));
    const write = (bytes: Uint8Array | DataView, at: number) => writeSync(file, bytes, 0, bytes.byteLength, at);
    write(makeRdb({ cylinders, partitions, product: "SAMPLE DISK" }), 0);
    write(contents, start(volume.lowCylinder));
    write(otherStart, start(other.lowCylinder));
  } finally {
    closeSync(file);
  }
}
