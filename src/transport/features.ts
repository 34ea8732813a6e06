/**
 * Feature bits that belong to rings and transports, not to a device type (virtio 1.2 §6, legacy bits from 0.9.5).
 * Sets of features are `bigint`s at the API; the hot path asks once and keeps booleans.
 */
import type { RingFormat } from "../virtqueue/index.js";

/** Bit numbers. */
export const ringFeatures = {
  NOTIFY_ON_EMPTY: 24,
  ANY_LAYOUT: 27,
  INDIRECT_DESC: 28,
  EVENT_IDX: 29,
  VERSION_1: 32,
  ACCESS_PLATFORM: 33,
  RING_PACKED: 34,
  IN_ORDER: 35,
  ORDER_PLATFORM: 36,
  NOTIFICATION_DATA: 38,
  RING_RESET: 40,
} as const;

/** Bit numbers by name. */
export type FeatureTable = Readonly<Record<string, number>>;

/** The set with the given bits. */
export function featureSet(...bits: readonly number[]): bigint {
  return bits.reduce((set, bit) => set | (1n << BigInt(bit)), 0n);
}

/** Whether a set holds a bit. */
export function hasFeature(set: bigint, bit: number): boolean {
  return ((set >> BigInt(bit)) & 1n) === 1n;
}

/**
 * What our drivers take of the ring features that came with virtio 1.0 and later, when they are offered and the transport
 * carries them. ACCESS_PLATFORM: addresses come from the platform's DMA memory anyway. ORDER_PLATFORM: places are
 * published with barriers that hold for other processors and devices alike. Both mean nothing else to us.
 */
export const modernRingFeatures: readonly number[] = [
  ringFeatures.ACCESS_PLATFORM,
  ringFeatures.RING_PACKED,
  ringFeatures.IN_ORDER,
  ringFeatures.ORDER_PLATFORM,
  ringFeatures.NOTIFICATION_DATA,
  ringFeatures.RING_RESET,
];

/** The format that negotiated features ask for. */
export function ringFormatOf(features: bigint): RingFormat {
  return hasFeature(features, ringFeatures.RING_PACKED) ? "packed" : "split";
}

/** Names of the bits of a set; a bit that no table knows is `bit N`. */
export function featureNames(set: bigint, ...tables: readonly FeatureTable[]): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < 128; bit++) {
    if (!hasFeature(set, bit)) continue;
    const known = tables.flatMap((table) => Object.entries(table)).find(([, value]) => value === bit);
    names.push(known === undefined ? `bit ${bit}` : known[0]);
  }
  return names;
}
