/** What is below the units of one controller: requests, the ring, completions. Two make it: `own-io` and `driver-io`. */
import type { InterruptMode } from "../../../transport/index.js";
import type { ScsiRequest } from "../../../virtio/index.js";
import type { PipelineSlot } from "./pipeline-slot.js";
import type { SlotOwner } from "./slot-owner.js";

/** A place that answered. */
export interface FoundUnit {
  readonly target: number;
  readonly lun: number;
  readonly peripheralType: number;
}

/** Counters since the controller was brought up. */
export interface IoCounters {
  /** Notifications of the request queue. */
  notifies: number;
  /** Interrupts of the function. */
  interrupts: number;
  /** Requests that came back. */
  completions: number;
}

export interface ControllerIo {
  readonly kind: "pci-legacy" | "pci-modern";
  readonly interruptMode: InterruptMode;
  /** Feature bits that were taken. */
  readonly features: bigint;
  readonly limits: { readonly segments: number; readonly bytes: number };
  readonly counters: IoCounters;
  /** The device may still write to what it was lent: nothing of it is used again. */
  readonly memoryLost: boolean;
  /** Why nothing is sent any more. */
  readonly failure: Error | undefined;
  newRequest(): ScsiRequest;
  freeRequest(request: ScsiRequest): void;
  /** Units whose task is to be told of interrupts. */
  addUnit(unit: SlotOwner): void;
  removeUnit(unit: SlotOwner): void;
  /** Seals the slot's request and puts it on the ring; the device sees it after `kick`. False when there is no room. */
  submit(slot: PipelineSlot): boolean;
  kick(): void;
  /** Takes completions off the ring and ends them, whosever they are. */
  harvest(): void | Promise<void>;
  /**
   * The synchronous path: sends the slot's request and waits for its end. `polled` for a unit without a task.
   * @returns 0, or the {@link IoError} that keeps an answer from coming. Then, with `slot.scsi` replaced, the old
   * request's memory is lost.
   */
  send(slot: PipelineSlot, polled: boolean): Promise<number>;
  /** Has a request on the ring given back early; it then ends with `ioError`. False when there is no way to. */
  abort(slot: PipelineSlot, ioError: number): boolean;
  /** Finds the units behind the controller; each is told as soon as it is found, in their order. */
  scan(found: (unit: FoundUnit) => Promise<boolean>): Promise<void>;
  /** Resets the device. Every request that it had ends before this does. */
  close(): Promise<void>;
}
