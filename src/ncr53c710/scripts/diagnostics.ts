/** What is wrong with a source, with places; bounded, so that a bad file gives a readable answer. */

/** A place in a source, both from 1. */
export interface SourcePlace {
  readonly line: number;
  readonly column: number;
}

/** One thing to say about a source. */
export interface Diagnostic extends SourcePlace {
  readonly severity: "error" | "warning";
  /** What was expected and what came. */
  readonly message: string;
}

/** `name:line:column: error: message`. */
export function formatDiagnostic(diagnostic: Diagnostic, fileName: string): string {
  const { line, column, severity, message } = diagnostic;
  return `${fileName}:${line}:${column}: ${severity}: ${message}`;
}

/** Raised inside the assembler for one statement; becomes a {@link Diagnostic}. */
export class SourceProblem extends Error {
  readonly place: SourcePlace;

  constructor(place: SourcePlace, message: string) {
    super(message);
    this.place = place;
  }
}

/** Raised inside the assembler when there are too many problems to go on. */
export class TooManyProblems extends Error {}

/** Collects diagnostics up to a limit. */
export class Diagnostics {
  readonly list: Diagnostic[] = [];
  readonly #limit: number;
  errors = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws TooManyProblems once the limit is reached. */
  add(severity: Diagnostic["severity"], { line, column }: SourcePlace, message: string): void {
    this.list.push({ severity, line, column, message });
    if (severity === "error") this.errors++;
    if (this.list.length < this.#limit) return;
    this.list.push({ severity: "error", line, column, message: `more than ${this.#limit} problems: stopped here` });
    this.errors++;
    throw new TooManyProblems();
  }

  /** By place. */
  sorted(): Diagnostic[] {
    return [...this.list].sort((a, b) => a.line - b.line || a.column - b.column);
  }

  /** Runs `work`; a {@link SourceProblem} in it becomes a diagnostic. */
  guard<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SourceProblem)) throw error;
      this.add("error", error.place, error.message);
      return undefined;
    }
  }
}
