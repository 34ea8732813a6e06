/** A rule that has to hold, and that one known defect breaks. */
import { openStorportLoop, type StorportLoop, type StorportLoopOptions } from "./storport-loopback.js";

/** One rule. */
export interface DefectScenario {
  /** Number of the defect. */
  readonly number: number;
  readonly rule: string;
  /** Rejects when the rule does not hold. @param defects what is put back. */
  readonly run: (defects: readonly number[]) => Promise<void>;
}

/** A scenario over a loop; whatever becomes of it, the loop is taken down. */
export function loopScenario(
  number: number,
  rule: string,
  options: StorportLoopOptions,
  work: (loop: StorportLoop) => Promise<void>,
): DefectScenario {
  return {
    number,
    rule,
    async run(defects) {
      const loop = await openStorportLoop({ ...options, defects });
      try {
        await work(loop);
      } catch (error) {
        await loop.close().catch(() => {});
        throw error;
      }
      await loop.close();
    },
  };
}

/** What `work` gives, or a rejection when it takes longer: requests that a defect loses never end. */
export async function inTime<T>(work: Promise<T>, milliseconds = 400): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing ended within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
