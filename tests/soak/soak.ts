/**
 * What a soak is, and how one is run: rounds that depend on nothing but the seed and their number, so that a failing one
 * can be repeated alone.
 */
import { type SeededRandom, seededRandom } from "../../src/testing/index.js";

/** What a round is given. */
export interface Round {
  readonly number: number;
  readonly random: SeededRandom;
  /** Adds to a counter of the report. */
  count(name: string, by?: number): void;
}

export interface Soak {
  readonly name: string;
  /** One line for people. */
  readonly title: string;
  /** It counts what the whole process has open, so no other may run beside it. */
  readonly runsAlone?: boolean;
  /** Rounds of the short version in the quick tier. */
  readonly quickRounds: number;
  /** Makes what all rounds share, and gives the round. A round throws when something is wrong. */
  start(): (round: Round) => void | Promise<void>;
  /**
   * Looks at the counters at the end; throws when a goal was missed. `rounds` says how long the run was: goals that need
   * many rounds are asked of long runs only.
   */
  goals?(counts: ReadonlyMap<string, number>, rounds: number): void;
}

export interface SoakOptions {
  seed: number;
  /** First round. Default 0. */
  from?: number;
  /** How many rounds; with `seconds` too, whichever ends first. */
  rounds?: number;
  seconds?: number;
  /** Told the number of each round before it starts. */
  onRound?: (round: number) => void;
}

export interface SoakReport {
  readonly name: string;
  readonly seed: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly counts: ReadonlyMap<string, number>;
}

/** A round failed; the message says how to repeat it. */
export class SoakFailure extends Error {
  override readonly name = "SoakFailure";
}

/** The command that repeats one round. */
export function repeatCommand(name: string, seed: number, round: number): string {
  return `npm run soak -- --seed ${seed} --from ${round} --rounds 1 ${name}`;
}

/** Runs rounds until there were enough. @throws SoakFailure */
export async function runSoak(soak: Soak, options: SoakOptions): Promise<SoakReport> {
  const { seed, from = 0, rounds = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY, onRound } = options;
  const counts = new Map<string, number>();
  const count = (name: string, by = 1) => counts.set(name, (counts.get(name) ?? 0) + by);
  const started = performance.now();
  const elapsed = () => (performance.now() - started) / 1000;
  const round = soak.start();
  let number = from;
  for (; number < from + rounds; number++) {
    if (number % 16 === 0 && elapsed() >= seconds) break;
    onRound?.(number);
    const random = seededRandom(Math.imul(seed, 0x9e37_79b1) ^ Math.imul(number + 1, 0x85eb_ca6b));
    try {
      const answer = round({ number, random, count });
      if (answer !== undefined) await answer;
    } catch (error) {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new SoakFailure(`${soak.name}: ${what}\nrepeat with: ${repeatCommand(soak.name, seed, number)}`);
    }
  }
  const report = { name: soak.name, seed, rounds: number - from, seconds: elapsed(), counts };
  try {
    soak.goals?.(counts, report.rounds);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new SoakFailure(`${soak.name}, seed ${seed}, ${report.rounds} rounds: ${what}\n${formatReport(report)}`);
  }
  return report;
}

/** The report as text: one line, then the counters. */
export function formatReport(report: SoakReport): string {
  const { name, seed, rounds, seconds, counts } = report;
  const speed = Math.round(rounds / Math.max(seconds, 0.001));
  const lines = [`${name}: seed ${seed}, ${rounds} rounds in ${seconds.toFixed(1)} s, ${speed} rounds/s`];
  const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [counter, value] of sorted) lines.push(`  ${counter.padEnd(32)} ${value}`);
  return lines.join("\n");
}

/** @throws Error that lists every counter below `least`. */
export function requireCounts(counts: ReadonlyMap<string, number>, names: readonly string[], least: number): void {
  const missing = names.filter((name) => (counts.get(name) ?? 0) < least);
  if (missing.length > 0) {
    throw new Error(`hit less than ${least} times: ${missing.map((n) => `${n} (${counts.get(n) ?? 0})`).join(", ")}`);
  }
}
