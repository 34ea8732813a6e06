/**
 * What the control plane and a thread that serves queues say to each other. Memory and descriptors are not sent: threads
 * share both, so an address or a number says where they are.
 */
import type { Endianness } from "../../bytes/index.js";
import type { ViolationCode } from "../../errors/index.js";
import type { RingAddresses } from "../../virtqueue/index.js";

/** Memory of this process. The control plane keeps it mapped until the thread says that it has let go of its view. */
export interface LentMemory {
  /** Names this piece for as long as the process lives. */
  readonly key: string;
  readonly address: number;
  readonly size: number;
}

/** Guest memory and the ring in it. */
export interface LentPlace {
  readonly pieces: readonly (LentMemory & { readonly guestAddress: number })[];
  readonly addresses: RingAddresses;
}

/** A queue to serve, as the runner's contract describes it. */
export interface LentSetup {
  readonly index: number;
  readonly size: number;
  readonly features: bigint;
  readonly endianness: Endianness;
  readonly base: number;
  readonly kick: number | undefined;
  readonly call: number | undefined;
  readonly place: LentPlace;
  readonly inflight: LentMemory | undefined;
}

/** What a thread is asked to do. */
export type ThreadWork =
  | { readonly kind: "negotiated"; readonly features: bigint; readonly endianness: Endianness }
  | { readonly kind: "config"; readonly config: Uint8Array; readonly offset: number; readonly length: number }
  | { readonly kind: "reset" | "close" }
  | { readonly kind: "start"; readonly setup: LentSetup }
  | { readonly kind: "call" | "kick"; readonly ring: number; readonly descriptor: number | undefined }
  | { readonly kind: "move"; readonly ring: number; readonly place: LentPlace }
  | { readonly kind: "pause" | "resume" | "stop" | "abandon"; readonly ring: number };

/** Work with the number under which it is answered. */
export type ThreadRequest = ThreadWork & { readonly id: number };

/** What a thread says. */
export type ThreadNews =
  /** Its device is open. */
  | { readonly kind: "ready" }
  /** Its device cannot be opened. */
  | { readonly kind: "unfit"; readonly message: string }
  /** Work is done; `value` is where a stopped ring goes on. */
  | { readonly kind: "done"; readonly id: number; readonly value: number }
  /** The front end is at fault. */
  | { readonly kind: "refused"; readonly id: number; readonly code: ViolationCode; readonly queue: number | undefined }
  /** Nothing uses the memory any more that a ring had before it was moved. */
  | { readonly kind: "released"; readonly id: number }
  | { readonly kind: "config-changed" }
  | { readonly kind: "ring-failed"; readonly index: number }
  /** The view of a piece is gone; it had been lent so many times. */
  | { readonly kind: "forgotten"; readonly key: string; readonly count: number };
