import type { Machine } from "./machine.js";

/** How long one turn of waiting may take when nothing happens, in milliseconds. */
const turn = 100;

/**
 * Waits for `work` while the machine makes progress: a platform whose interrupts have to be fetched (QEMU) delivers them
 * only meanwhile.
 */
export async function settle<T>(machine: Machine, work: Promise<T>): Promise<T> {
  let settled = false;
  const done = work.finally(() => {
    settled = true;
  });
  done.catch(() => {});
  while (!settled) await Promise.race([machine.idle(turn), done]);
  return done;
}
