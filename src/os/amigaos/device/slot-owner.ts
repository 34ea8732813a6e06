import type { PipelineSlot } from "./pipeline-slot.js";

/** Who has slots: a unit, or the scan before there are any. */
export interface SlotOwner {
  /** What its synchronous path waits for. */
  waitsFor: PipelineSlot | undefined;
  /** From the interrupt: there may be completions. */
  signalInterrupt(): void;
  waitForInterrupt(): Promise<unknown>;
  /** A transfer of its pipelined path came back (or never will: `slot.scsi.outcome` is `failed`). */
  transferEnded(slot: PipelineSlot): void;
  /** The controller was reset: the requests of its slots are gone, there are new ones. */
  renewRequests?(): void;
  /** After that: a transfer that the device had is to be started again. */
  transferInterrupted?(slot: PipelineSlot): void;
}
