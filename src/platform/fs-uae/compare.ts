/** Runs one sequence on two chips and says where they differ, apart from differences that have a name. */
import { type Observation, runSequence, type SequenceStep, type SequenceTarget } from "./sequence.js";

/** A known difference. */
export interface NamedMask {
  /** For people: whose fault it is and what it does. */
  readonly name: string;
  /** What it is about: names as in {@link Observation}. */
  readonly what: readonly string[];
  /** Bits that are not compared. Default: all, and a value that is no number too. */
  readonly bits?: number;
  /** Whether it applies here, by what the first chip showed at the same step. Default: everywhere. */
  readonly when?: (seen: SeenAtStep) => boolean;
}

/** What a chip showed at one step, by name. */
export type SeenAtStep = Readonly<Record<string, number | string>>;

/** One place where they differ. */
export interface Difference {
  readonly step: number;
  readonly what: string;
  readonly first: number | string;
  readonly second: number | string;
  /** The masks that explain it; empty for a difference that nothing explains. */
  readonly explainedBy: readonly string[];
}

/** What came out. */
export interface Comparison {
  readonly first: readonly Observation[];
  readonly second: readonly Observation[];
  /** Nobody knows why: one line each. */
  readonly unexplained: readonly Difference[];
  /** Hidden by masks. */
  readonly masked: readonly Difference[];
}

/** Runs `steps` on both and compares what was seen, pair by pair. */
export async function compareOn(
  steps: readonly SequenceStep[],
  targets: readonly [SequenceTarget, SequenceTarget],
  masks: readonly NamedMask[] = [],
): Promise<Comparison> {
  const first = await runSequence(steps, targets[0]);
  const second = await runSequence(steps, targets[1]);
  return { first, second, ...compareObservations(first, second, masks) };
}

/** The differences between two runs of the same steps. */
export function compareObservations(
  first: readonly Observation[],
  second: readonly Observation[],
  masks: readonly NamedMask[],
): { readonly unexplained: readonly Difference[]; readonly masked: readonly Difference[] } {
  if (first.length !== second.length) throw new RangeError("these are not runs of the same steps");
  const differences = first.flatMap((one, index): Difference[] => {
    const other = second[index];
    if (one.value === other.value) return [];
    const seen = Object.fromEntries(
      first.filter(({ step }) => step === one.step).map(({ what, value }) => [what, value]),
    );
    const explainedBy = explain(one, other, seen, masks);
    return [{ step: one.step, what: one.what, first: one.value, second: other.value, explainedBy }];
  });
  return {
    unexplained: differences.filter(({ explainedBy }) => explainedBy.length === 0),
    masked: differences.filter(({ explainedBy }) => explainedBy.length > 0),
  };
}

/** One line for a difference. */
export function describeDifference(
  { step, what, first, second }: Difference,
  names: readonly [string, string],
): string {
  return `step ${step}, ${what}: ${names[0]} has ${text(first)}, ${names[1]} has ${text(second)}`;
}

/** Names of the masks that together cover every bit that differs; none when they do not. */
function explain(first: Observation, second: Observation, seen: SeenAtStep, masks: readonly NamedMask[]): string[] {
  const applying = masks.filter(({ what, when }) => what.includes(first.what) && (when?.(seen) ?? true));
  const whole = applying.find(({ bits }) => bits === undefined);
  if (whole !== undefined) return [whole.name];
  if (typeof first.value !== "number" || typeof second.value !== "number") return [];
  let left = (first.value ^ second.value) >>> 0;
  const used: string[] = [];
  for (const { name, bits = 0 } of applying) {
    if ((left & bits) === 0) continue;
    used.push(name);
    left = (left & ~bits) >>> 0;
  }
  return left === 0 ? used : [];
}

function text(value: number | string): string {
  return typeof value === "number" ? `${value.toString(16).toUpperCase().padStart(2, "0")}h` : value;
}
