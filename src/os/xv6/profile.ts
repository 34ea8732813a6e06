/** How the kernel's disk driver behaves, as data: what the teaching kernel does, and what it should do. */
import { featureSet, ringFeatures } from "../../transport/index.js";
import { blkFeatures } from "../../virtio/index.js";

/** Descriptors of the ring, a power of two; a request takes three. */
export const xv6RingSize = 8;
/** Buffers of the cache. */
export const xv6Buffers = 30;

/** The behaviour that can be chosen. */
export interface Xv6Profile {
  readonly name: "strict" | "extended";
  /**
   * How the device is brought up: exactly in the order of the kernel's own driver, or as the specification wants it
   * (selectors, waiting for the reset, VERSION_1, features that are understood only).
   */
  readonly bringUp: "xv6" | "specification";
  /**
   * `strict`: of the first word, these features are not accepted and everything else is, understood or not.
   * `extended`: these are accepted and nothing else.
   */
  readonly features: bigint;
  /** What a failed request or a cache without a free buffer means: the end of the kernel, or an error, or waiting. */
  readonly onTrouble: "panic" | "error";
  /** Flush after each write, where the device has a cache. */
  readonly flushes: boolean;
}

const { RO, SCSI, CONFIG_WCE, MQ, FLUSH } = blkFeatures;
const { ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX } = ringFeatures;

/** Both profiles by name. */
export const xv6Profiles: Readonly<Record<Xv6Profile["name"], Xv6Profile>> = {
  strict: {
    name: "strict",
    bringUp: "xv6",
    features: featureSet(RO, SCSI, CONFIG_WCE, MQ, ANY_LAYOUT, EVENT_IDX, INDIRECT_DESC),
    onTrouble: "panic",
    flushes: false,
  },
  extended: {
    name: "extended",
    bringUp: "specification",
    features: featureSet(RO, FLUSH, EVENT_IDX),
    onTrouble: "error",
    flushes: true,
  },
};
