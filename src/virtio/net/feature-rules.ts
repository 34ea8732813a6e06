/**
 * Which features need which: the device offers, and the driver accepts, an offload only together with what it is built
 * on (virtio 1.2 §5.1.3.1; 0.9.5 appendix C).
 */
import { featureSet, hasFeature, ringFeatures } from "../../transport/index.js";
import { netFeatures as f, netHeader, shortHeaderSize } from "./protocol.js";

/** Each feature with those it needs: one of every list. */
const needs: readonly (readonly [number, ...(readonly number[])[]])[] = [
  [f.GUEST_TSO4, [f.GUEST_CSUM]],
  [f.GUEST_TSO6, [f.GUEST_CSUM]],
  [f.GUEST_UFO, [f.GUEST_CSUM]],
  [f.GUEST_ECN, [f.GUEST_TSO4, f.GUEST_TSO6], [f.GUEST_CSUM]],
  [f.GSO, [f.CSUM]],
  [f.HOST_TSO4, [f.CSUM]],
  [f.HOST_TSO6, [f.CSUM]],
  [f.HOST_UFO, [f.CSUM]],
  [f.HOST_ECN, [f.HOST_TSO4, f.HOST_TSO6, f.GSO], [f.CSUM]],
  [f.CTRL_RX, [f.CTRL_VQ]],
  [f.CTRL_VLAN, [f.CTRL_VQ]],
  [f.CTRL_RX_EXTRA, [f.CTRL_VQ]],
  // The bit that tells of it lies in a field that only STATUS has: 0.9.5 does not say so.
  [f.GUEST_ANNOUNCE, [f.CTRL_VQ], [f.STATUS]],
  [f.MQ, [f.CTRL_VQ]],
  [f.CTRL_MAC_ADDR, [f.CTRL_VQ]],
  [f.CTRL_GUEST_OFFLOADS, [f.CTRL_VQ]],
];

/** The features of a set that have everything they need. */
export function consistentFeatures(features: bigint): bigint {
  let kept = features;
  for (const [feature, ...lists] of needs) {
    if (!lists.every((list) => list.some((needed) => hasFeature(kept, needed)))) kept &= ~featureSet(feature);
  }
  return kept;
}

/** Offloads that the driver may switch with GUEST_OFFLOADS_SET, at the places of their features. */
export const guestOffloadFeatures = featureSet(f.GUEST_CSUM, f.GUEST_TSO4, f.GUEST_TSO6, f.GUEST_ECN, f.GUEST_UFO);

/** Whether packets longer than a frame can come in. */
export function takesLongPackets(features: bigint): boolean {
  return (features & featureSet(f.GUEST_TSO4, f.GUEST_TSO6, f.GUEST_UFO)) !== 0n;
}

/** Bytes before every packet: `num_buffers` is always there in a modern header, only with MRG_RXBUF in a legacy one. */
export function headerSize(features: bigint): number {
  const isLong = hasFeature(features, ringFeatures.VERSION_1) || hasFeature(features, f.MRG_RXBUF);
  return isLong ? netHeader.size : shortHeaderSize;
}
