/**
 * Commands of several steps, written once for stores that answer at once and for those that answer with a promise: a
 * command is a generator that yields what it waits for. With a store that answers at once it runs through in one go.
 */
import type { ScsiTask } from "./task.js";

/** What a command waits for before its next step: nothing, or a promise. */
export type Steps = Generator<undefined | Promise<void>, void, void>;

/**
 * Runs `steps` to the end. When the task was called off while it waited, what is left is not carried out (its `finally`
 * blocks are). A store's failure, thrown or rejected, is thrown into the steps and comes out as it would of a function.
 */
export function runSteps(task: ScsiTask, steps: Steps): undefined | Promise<void> {
  const waiting = untilPromise(steps);
  return waiting === undefined ? undefined : goOn(task, steps, waiting);
}

/** Takes steps while they need no waiting; the promise that has to be waited for, or undefined at the end. */
function untilPromise(steps: Steps): Promise<void> | undefined {
  for (let step = steps.next(); step.done !== true; step = steps.next()) {
    if (step.value !== undefined) return step.value;
  }
  return undefined;
}

async function goOn(task: ScsiTask, steps: Steps, first: Promise<void>): Promise<void> {
  for (let waiting: undefined | Promise<void> = first; waiting !== undefined; ) {
    try {
      await waiting;
    } catch (error) {
      const step = steps.throw(error);
      waiting = step.done === true ? undefined : (step.value ?? untilPromise(steps));
      continue;
    }
    if (task.isAborted) {
      steps.return();
      return;
    }
    waiting = untilPromise(steps);
  }
}
