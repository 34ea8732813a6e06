/**
 * How queues, units and discovery behave where the driver's history knows two ways, as data; the first value of each field
 * is right. Commands and DMA have their own record in `commands/behaviour.ts`.
 */

/** One field for each choice. */
export interface DeviceBehaviour {
  /** The synchronous path has a request of its own, or uses slot 0's, in flight or not (Q1). */
  readonly synchronousSlot: "own" | "slot-0";
}

/** Everything right. */
export const rightBehaviour: DeviceBehaviour = { synchronousSlot: "own" };

/** Version 1.5. */
export const strictBehaviour: DeviceBehaviour = { synchronousSlot: "slot-0" };
