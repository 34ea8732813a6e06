import type { Machine } from "./machine.js";

/** How long one turn of waiting may take when nothing happens, in milliseconds. */
const turn = 100;

/**
 * Waits for `work` while the machine makes progress: a platform whose interrupts have to be fetched (QEMU) delivers them
 * only meanwhile.
 */
export async function settle<T>(machine: Machine, work: Promise<T>): Promise<T> {
  let settled = false;
  // One reaction to the work for all turns: a race in each would leave one behind in each, as long as the work lasts.
  let endTurn = () => {};
  const done = work.finally(() => {
    settled = true;
    endTurn();
  });
  done.catch(() => {});
  while (!settled) {
    await new Promise<void>((resolve, reject) => {
      endTurn = resolve;
      machine.idle(turn).then(resolve, reject);
    });
  }
  return done;
}
