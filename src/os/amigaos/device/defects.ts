/**
 * What the history of the driver knows as wrong, of queues, units and discovery: chapter 10's bugs (B), the queue layer's
 * defects of 3.8 (Q) and the latent ones of chapters 1 to 8 (L). Those of commands, sizes, geometry and DMA are in
 * `commands/defects.ts`: B1, B2, B4, B6, B16, B17, B18, B23, B28 to B31, B34, B35, Q5.
 */
import { type DeviceBehaviour, ownDeviceBehaviour } from "./behaviour.js";

/** One of them, and what puts it back. */
export interface DeviceDefect {
  readonly id: string;
  readonly text: string;
  /** Version 1.5 has it. */
  readonly isStrict: boolean;
  readonly change: Partial<DeviceBehaviour>;
}

const gone = (id: string, text: string, change: Partial<DeviceBehaviour>): DeviceDefect => ({
  ...{ id, text, change, isStrict: false },
});
const there = (id: string, text: string, change: Partial<DeviceBehaviour>): DeviceDefect => ({
  ...{ id, text, change, isStrict: true },
});

/** All of them. B19 and B20 are the same mistake, as are B33's counters and Q7, its trust in ids and Q8. */
export const deviceDefects: readonly DeviceDefect[] = [
  gone("B3", "what a unit attention stopped is not repeated", { synchronousRetry: "none", pipelinedRetry: "none" }),
  gone("B5", "the device is put into exec's list twice", { registration: "twice" }),
  gone("B7", "the second notification is left out", { kick: "remembered-index" }),
  gone("B8", "notifications are suppressed by the wrong half of a word", { kick: "wrong-half" }),
  gone("B9", "a waiting command drops the completions of others", { foreignCompletions: "lost" }),
  gone("B10", "two tasks take completions at the same time", { harvest: "racing" }),
  gone("B11", "a waiting command drops completions of other units", { foreignCompletions: "other-units-lost" }),
  gone("B12", "a waiting command goes on past its own completion", { afterOwn: "runs-on" }),
  gone("B13", "a task drops the completion that a command of another unit waits for", {
    harvestedSynchronous: "dropped",
  }),
  gone("B14", "polled completions leave used_event behind", { usedEvent: "end-of-harvest" }),
  gone("B15", "used_event is one too high", { coalescing: "one-too-many" }),
  gone("B19", "port methods on memory BARs", { memoryAccess: "port-methods" }),
  gone("B21", "memory space and bus mastering stay off", { commandBits: "left-alone" }),
  gone("B22", "a modern device is notified in BAR 0", { notifyAddress: "bar-0" }),
  there("B24", "the upper half of BAR 4 stays at all ones", { upperBar: "left" }),
  gone("B26", "a unit's task reads a start message that is gone", { startMessage: "shared" }),
  gone("B27", "a unit's memory is freed before its task ended", { memoryFreed: "before-task" }),
  there("B32", "used_event in the wrong byte order on modern devices", {
    ...{ usedEventOrder: "native", coalescing: "all-in-flight" },
  }),
  there("B32r", "the residual is read in the wrong byte order on modern devices", { residualOrder: "native" }),
  gone("B33", "requests in flight are counted wrongly", { counting: "inflated", coalescing: "all-in-flight" }),
  there("Q1", "the synchronous path uses slot 0's request while it is in flight", {
    ...{ synchronousSlot: "slot-0", overflow: "synchronous" },
  }),
  there("Q2", "wake-ups by others use up a command's patience", { patience: "wake-ups" }),
  there("Q3", "nothing ends a wait for a device that does not answer", { patience: "wake-ups" }),
  there("Q4", "without an interrupt transfers are never looked at", { polling: "synchronous-path" }),
  // Version 1.5 has the race, but hardly ever loses it: its profile does not.
  gone("Q6", "a kept completion is written down after its waiter was woken", { stash: "late" }),
  gone("Q8", "a used id that is none leaves requests waiting", { brokenRing: "requests-wait" }),
  there("Q9", "one slow request holds up the answers of all others", { coalescing: "all-in-flight" }),
  there("Q10", "closing frees what the device still writes to", { shutdown: "at-once" }),
  there("L1", "structures that are missing are used", { capabilities: "last-unchecked" }),
  there("L2", "of memory space and bus mastering one stays off when the other is on", {
    commandBits: "both-or-none",
  }),
  there("L3", "a ring's pages are taken for neighbours", { ringContiguity: "assumed" }),
  there("L4", "held requests stay unanswered at the last close", { heldAtClose: "left" }),
  there("L5", "the first transfer after power-on fails with a disk change", { pipelinedRetry: "none" }),
  there("L6", "units that are plugged in or taken out go unnoticed", { events: "ignored" }),
  there("L7", "AbortIO cannot reach what the device has", { abort: "queued-only" }),
];

/** Right, with these defects put back. @throws RangeError for an id that is none. */
export function deviceBehaviourWith(ids: readonly string[]): DeviceBehaviour {
  const changes = ids.map((id) => {
    const found = deviceDefects.find((candidate) => candidate.id === id);
    if (found === undefined) throw new RangeError(`there is no defect ${id}`);
    return found.change;
  });
  return Object.assign({}, ownDeviceBehaviour, ...changes) as DeviceBehaviour;
}
