/** What a virtio-net driver takes, and what it takes of its device. */
import {
  type DriverTransport,
  featureSet,
  hasFeature,
  modernRingFeatures,
  ringFeatures,
} from "../../transport/index.js";
import type { DeviceDriverOptions } from "../driver-base/index.js";
import { consistentFeatures } from "./feature-rules.js";
import { netConfig, netFeatures } from "./protocol.js";

/** All of it may be left out; `features` default to {@link knownNetFeatures}. */
export interface NetDriverOptions extends DeviceDriverOptions {
  /** Pairs of queues to set up, at most what the device has. Default 1: MQ is then not taken. */
  readonly queuePairs?: number;
  /** Buffers of each receive queue; at most its size. Default as many, 32 when packets come uncut in one buffer. */
  readonly receiveBuffers?: number;
  /** Bytes of a mergeable buffer, its header included. Default 2048. */
  readonly bufferSize?: number;
  /** Milliseconds until a command or a packet that was not answered is called off. Default 30000; 0 for never. */
  readonly timeout?: number;
}

const f = netFeatures;

/** All features that the driver half knows. GSO is nobody's any more. */
export const knownNetFeatures: bigint = featureSet(
  ...Object.values(f).filter((feature) => feature !== f.GSO),
  ringFeatures.ANY_LAYOUT,
  ringFeatures.INDIRECT_DESC,
  ringFeatures.EVENT_IDX,
  ...modernRingFeatures,
);

/** More pairs than this are no adapter's. */
const mostPairs = 256;

/** Pairs of queues that the device says it has; only a feature that is offered makes its field readable. */
export function offeredPairs(transport: DriverTransport): number {
  return transport.readConfig(netConfig.offset.maxVirtqueuePairs, 2);
}

/** Takes out of what both sides know what does not go together, or is of no use for `queuePairs`. */
export function chooseNetFeatures(agreed: bigint, transport: DriverTransport, queuePairs: number): bigint {
  const features = consistentFeatures(agreed);
  if (!hasFeature(features, f.MQ)) return features;
  const pairs = queuePairs > 1 ? offeredPairs(transport) : 0;
  return pairs > 1 && pairs <= mostPairs ? features : features & ~featureSet(f.MQ);
}
