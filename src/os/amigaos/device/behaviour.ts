/**
 * How queues, units and discovery behave where the driver's history knows two ways, as data; the first value of each field
 * is right. Commands and DMA have their own record in `commands/behaviour.ts`.
 */

/** One field for each choice. */
export interface DeviceBehaviour {
  /** What is below the units: our own virtio-scsi driver, or a queue machinery built like version 1.5's. */
  readonly machinery: "driver" | "own";

  // Finding a controller and bringing it up

  /** Whether capabilities are checked and all that is needed must be there, or the last of each kind is taken as it is. */
  readonly capabilities: "first-checked" | "last-unchecked";
  /** Turning memory space and bus mastering on: each by itself, only when both are off, or never. */
  readonly commandBits: "each" | "both-or-none" | "left-alone";
  /** The upper half of BAR4 that firmware left at all ones. */
  readonly upperBar: "repaired" | "left";
  /** How memory BARs are read and written. */
  readonly memoryAccess: "direct" | "port-methods";
  /** Where a modern device is notified. */
  readonly notifyAddress: "capability" | "bar-0";
  /** Whether a ring's pages are known to follow each other. */
  readonly ringContiguity: "verified" | "assumed";
  /** How often the device is put into exec's list. */
  readonly registration: "once" | "twice";

  // The request queue

  /** The synchronous path has a request of its own, or uses slot 0's, in flight or not. */
  readonly synchronousSlot: "own" | "slot-0";
  /** A transfer that finds no slot waits for one, or goes the synchronous way. */
  readonly overflow: "waits" | "synchronous";
  /** What the wait of the synchronous path is limited by. */
  readonly patience: "time" | "wake-ups";
  /** What is served when there is no interrupt. */
  readonly polling: "everything" | "synchronous-path";
  /** When the device is notified. `remembered-index`: not when the index is the last kick's, which starts at 0.
   * `wrong-half`: as the other half of avail_event's word says. */
  readonly kick: "as-needed" | "always" | "remembered-index" | "wrong-half";
  /** Completions of others that the synchronous path meets: ended, or lost. */
  readonly foreignCompletions: "ended" | "other-units-lost" | "lost";
  /** A harvester that meets the completion of a synchronous command keeps it for its waiter, or drops it. */
  readonly harvestedSynchronous: "kept" | "dropped";
  /** Whether the synchronous path stops at its own completion, or takes and loses what comes with it. */
  readonly afterOwn: "stops" | "runs-on";
  /** Taking completions off the ring is one step, or two tasks can be in the middle of it. */
  readonly harvest: "one-step" | "racing";
  /** When the next interrupt is asked for: after each completion, or only at the end of a harvest. */
  readonly usedEvent: "each" | "end-of-harvest";
  /** Interrupts of a burst. */
  readonly coalescing: "none" | "all-in-flight" | "one-too-many";
  /** Byte order of the coalescing store on modern devices. */
  readonly usedEventOrder: "ring" | "native";
  /** Byte order in which the residual is read on modern devices. */
  readonly residualOrder: "device" | "native";
  /** Transfers that are counted as in flight. */
  readonly counting: "exact" | "inflated";
  /** A device that broke a rule of the ring. */
  readonly brokenRing: "requests-fail" | "requests-wait";

  /** A kept completion is there when its waiter wakes, or written down later. */
  readonly stash: "before-waking" | "late";

  // Units

  /** What a unit's task is started with is its own, or one message for all, which the next start overwrites. */
  readonly startMessage: "own" | "shared";

  /** The pipelined path repeats what a unit attention stopped, or does not. */
  readonly pipelinedRetry: "attention" | "none";
  /** What the synchronous path repeats. */
  readonly synchronousRetry: "attention" | "any-check-condition" | "none";
  /** Closing waits until the device has given everything back, or answers and frees at once. */
  readonly shutdown: "waits" | "at-once";
  /** When a unit's memory is freed: after its task ended, or before. */
  readonly memoryFreed: "after-task" | "before-task";
  /** Held requests at the last close. */
  readonly heldAtClose: "answered" | "left";
  /** AbortIO of requests that the device has. */
  readonly abort: "task-management" | "queued-only";
  /** Commands that take time run beside transfers, or hold their unit up. */
  readonly slowCommands: "beside" | "in-turn";
  /** Hotplug and media changes. */
  readonly events: "followed" | "ignored";
  /** How units are found. */
  readonly scan: "report-luns" | "inquiry-64";
}

/** Everything right. */
export const rightDeviceBehaviour: DeviceBehaviour = {
  machinery: "driver",
  capabilities: "first-checked",
  commandBits: "each",
  upperBar: "repaired",
  memoryAccess: "direct",
  notifyAddress: "capability",
  ringContiguity: "verified",
  registration: "once",
  synchronousSlot: "own",
  overflow: "waits",
  patience: "time",
  polling: "everything",
  kick: "as-needed",
  foreignCompletions: "ended",
  harvestedSynchronous: "kept",
  afterOwn: "stops",
  harvest: "one-step",
  usedEvent: "each",
  coalescing: "none",
  usedEventOrder: "ring",
  residualOrder: "device",
  counting: "exact",
  brokenRing: "requests-fail",
  stash: "before-waking",
  startMessage: "own",
  pipelinedRetry: "attention",
  synchronousRetry: "attention",
  shutdown: "waits",
  memoryFreed: "after-task",
  heldAtClose: "answered",
  abort: "task-management",
  slowCommands: "beside",
  events: "followed",
  scan: "report-luns",
};

/** As right as the queue machinery of version 1.5 can be: it has no task management, no events, and waits in its task. */
export const ownDeviceBehaviour: DeviceBehaviour = {
  ...rightDeviceBehaviour,
  machinery: "own",
  abort: "queued-only",
  slowCommands: "in-turn",
  events: "ignored",
  scan: "inquiry-64",
};

/** Version 1.5. */
export const strictDeviceBehaviour: DeviceBehaviour = {
  ...ownDeviceBehaviour,
  capabilities: "last-unchecked",
  commandBits: "both-or-none",
  upperBar: "left",
  ringContiguity: "assumed",
  synchronousSlot: "slot-0",
  overflow: "synchronous",
  patience: "wake-ups",
  polling: "synchronous-path",
  kick: "always",
  coalescing: "all-in-flight",
  usedEventOrder: "native",
  residualOrder: "native",
  pipelinedRetry: "none",
  synchronousRetry: "any-check-condition",
  shutdown: "at-once",
  heldAtClose: "left",
};
