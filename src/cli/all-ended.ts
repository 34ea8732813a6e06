/**
 * Waits until every one of `work` has ended, then throws the first failure if there was one. `Promise.all` would go on
 * while the others still use their memory.
 */
export async function allEnded(work: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(work)) if (outcome.status === "rejected") throw outcome.reason;
}
