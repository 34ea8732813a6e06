/**
 * `node:test` for tests that drive another program: none of them waits for ever, since a peer that is silent, or a machine
 * that nobody closed, must not hold everything up.
 */
import { type TestContext, type TestOptions, test as unlimited } from "node:test";

export { after, before, describe, type TestContext } from "node:test";

type Work = (context: TestContext) => void | Promise<void>;

/** Milliseconds that a test may take unless it says otherwise: several times what the longest takes on a busy machine. */
const limit = 180_000;
/** Milliseconds without a test, after one was given up, until the process ends: the time for the tests' clean-up. */
const grace = 5000;
let running = 0;
let lastMoved = 0;
let isWatched = false;

/** `test` with a limit of time. */
export function test(name: string, work: Work): void;
export function test(name: string, options: TestOptions, work: Work): void;
export function test(name: string, first: Work | TestOptions, second?: Work): void {
  const options = typeof first === "function" ? {} : first;
  const work = (typeof first === "function" ? first : second) as Work;
  const timeout = options.timeout ?? limit;
  void unlimited(name, { ...options, timeout }, async (context) => {
    moved(1);
    let isOver = false;
    const end = () => {
      if (!isOver) moved(-1);
      isOver = true;
    };
    const timer = setTimeout(() => {
      end();
      if (!isWatched) setInterval(endWhenIdle, grace / 5);
      isWatched = true;
    }, timeout);
    try {
      await work(context);
    } finally {
      clearTimeout(timer);
      end();
    }
  });
}

function moved(step: number): void {
  running += step;
  lastMoved = performance.now();
}

/** What a test that was given up left open would keep its process, and with it the whole run, from ending. */
function endWhenIdle(): void {
  if (running === 0 && performance.now() - lastMoved > grace) process.exit(1);
}
