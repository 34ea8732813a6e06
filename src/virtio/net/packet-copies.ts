/** Copies between packets and the pieces of chains; nothing is allocated for them in steady state. */
import type { Scatter } from "../../memory/index.js";
import type { ViewCache, ViewCaches } from "../../packet/index.js";

/** Copies up to `length` bytes of a chain's side, after `skip`, to `at` of `target`. Returns how many there were. */
export function gather(scatter: Scatter, caches: ViewCaches, skip: number, target: Uint8Array, length: number): number {
  let done = 0;
  let past = skip;
  for (let index = scatter.first; index < scatter.end && done < length; index++) {
    const piece = scatter.lengths[index];
    if (past >= piece) {
      past -= piece;
      continue;
    }
    const step = Math.min(piece - past, length - done);
    caches.of(scatter.regions[index].bytes).copyTo(scatter.offsets[index] + past, step, target, done);
    done += step;
    past = 0;
  }
  return done;
}

/** Copies up to `length` bytes of `source`, from `from` on, into a chain's side after `skip`. Returns how many fitted. */
export function scatterInto(source: ViewCache, from: number, length: number, scatter: Scatter, skip: number): number {
  let done = 0;
  let past = skip;
  for (let index = scatter.first; index < scatter.end && done < length; index++) {
    const piece = scatter.lengths[index];
    if (past >= piece) {
      past -= piece;
      continue;
    }
    const step = Math.min(piece - past, length - done);
    source.copyTo(from + done, step, scatter.regions[index].bytes, scatter.offsets[index] + past);
    done += step;
    past = 0;
  }
  return done;
}
