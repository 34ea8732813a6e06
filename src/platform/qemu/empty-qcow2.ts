/**
 * An empty qcow2 image: the scratch layer that QEMU writes to instead of the real image. We make the file ourselves so
 * that no `qemu-img` is needed beside the QEMU that was asked for.
 */
const clusterBits = 16;
const clusterSize = 1 << clusterBits;
/** What one first-level entry maps: a table of 8-byte entries, one cluster each. */
const bytesPerEntry = (clusterSize / 8) * clusterSize;

/**
 * The bytes of an image (qcow2 version 3, 64 KiB clusters) that holds nothing. Its backing file is not named in it:
 * it is given to QEMU beside it.
 * @param size what the image shows, bytes, a multiple of 512.
 */
export function emptyQcow2(size: number): Uint8Array {
  if (!Number.isSafeInteger(size) || size < 0 || size % 512 !== 0) throw new RangeError(`bad image size ${size}`);
  const entries = Math.max(1, Math.ceil(size / bytesPerEntry));
  const tableClusters = Math.ceil((entries * 8) / clusterSize);
  const clusters = 3 + tableClusters;
  // One cluster of 16-bit counts covers 2 GiB of the file; the first-level table of the largest image takes far less.
  const bytes = new Uint8Array(clusters * clusterSize);
  const view = new DataView(bytes.buffer);
  bytes.set([0x51, 0x46, 0x49, 0xfb]);
  view.setUint32(4, 3);
  view.setUint32(20, clusterBits);
  view.setBigUint64(24, BigInt(size));
  view.setUint32(36, entries);
  view.setBigUint64(40, BigInt(3 * clusterSize));
  view.setBigUint64(48, BigInt(clusterSize));
  view.setUint32(56, 1);
  view.setUint32(96, 4);
  view.setUint32(100, 104);
  view.setBigUint64(clusterSize, BigInt(2 * clusterSize));
  for (let cluster = 0; cluster < clusters; cluster++) view.setUint16(2 * clusterSize + 2 * cluster, 1);
  return bytes;
}
