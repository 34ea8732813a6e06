/** The wire of virtio-entropy: a queue of writable buffers, and nothing else (virtio 1.2 §5.4; 0.9.5 appendix F). */
import type { FeatureTable } from "../../transport/index.js";

/** The virtio device ID, virtio 1.2 §5. */
export const virtioEntropyId = 4;

/** There are none. §5.4.3 */
export const entropyFeatures = {} as const satisfies FeatureTable;

/** Number of the only queue. §5.4.2 */
export const entropyQueue = 0;
