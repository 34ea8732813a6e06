import type { DmaBlock } from "../../memory/index.js";
import { ChainPieces } from "../../virtqueue/index.js";

/** How far a request is on the driver's side. */
export type RingRequestOutcome = "idle" | "waiting" | "in-flight" | "done" | "failed";

/**
 * One request of a driver half, reusable: a slot of DMA memory for what the protocol adds to the data, and the pieces of
 * its chain. A device type's own request knows what lies in the slot.
 */
export abstract class RingRequest {
  /** Header, answer and whatever else the device type keeps beside the data. */
  readonly slot: DmaBlock;
  /** The whole chain, as it goes on the ring. */
  readonly pieces = new ChainPieces();
  outcome: RingRequestOutcome = "idle";
  /** Called once when the request ends; `outcome` is then `done` or `failed`. */
  onEnd: (() => void) | undefined;
  /** Why it failed, if it did. */
  error: Error | undefined;
  /** How often the request was put on a ring: tells one use from the next. */
  uses = 0;
  /** It is called off when it takes too long. */
  isTimed = false;

  constructor(slot: DmaBlock) {
    this.slot = slot;
  }

  /** Forgets the data pieces. */
  abstract clearData(): void;
  /** Adds a piece that the device reads; before all pieces that it writes. */
  abstract addOut(address: number, length: number): void;
  /** Adds a piece that the device writes. */
  abstract addIn(address: number, length: number): void;
  /** Completes the chain, and makes sure that a device which writes nothing does not look like one that answered. */
  abstract seal(): void;
  /** Takes the answer out of the slot. Sets `outcome` and, when the device broke a rule, `error`. */
  abstract readAnswer(usedLength: number): void;

  /** Ends the request without an answer. */
  fail(error: Error): void {
    this.outcome = "failed";
    this.error = error;
    this.onEnd?.();
  }
}
