/** A store that fails by rule, to see what the rooms above make of it. */
import type { Scatter } from "../memory/index.js";
import { type Answer, type ExtentStatus, type Store, StoreError } from "../storage/index.js";

/** A request that a rule judges. */
export interface StoreRequest {
  readonly kind: "read" | "write" | "flush" | "discard" | "write-zeroes";
  /** Bytes; 0 for a flush. */
  readonly position: number;
  /** Bytes; 0 for a flush. */
  readonly length: number;
  /** How many requests came before it. */
  readonly number: number;
}

/** Says how a request fails; undefined lets it through. */
export type FailureRule = (request: StoreRequest) => StoreError | undefined;

/** Fails requests of these kinds that touch the range, with `code`. */
export function failRange(
  kinds: readonly StoreRequest["kind"][],
  position: number,
  length: number,
  code: StoreError["code"],
): FailureRule {
  return (request) =>
    kinds.includes(request.kind) && request.position < position + length && position < request.position + request.length
      ? new StoreError(code, `${request.kind} at ${request.position} fails by rule`)
      : undefined;
}

/** Which operations fail. */
export interface FailingStoreOptions {
  /** `throw` (default): fails at once. `reject`: fails by a promise. */
  by?: "throw" | "reject";
}

export class FailingStore implements Store {
  readonly description: string;
  readonly byteLength: number;
  readonly isReadOnly: boolean;
  readonly #base: Store;
  readonly #by: "throw" | "reject";
  /** May be replaced while the store is in use. */
  rule: FailureRule;
  #requests = 0;

  constructor(base: Store, rule: FailureRule, options: FailingStoreOptions = {}) {
    this.#base = base;
    this.rule = rule;
    this.description = `failing ${base.description}`;
    this.byteLength = base.byteLength;
    this.isReadOnly = base.isReadOnly;
    this.#by = options.by ?? "throw";
  }

  read(position: number, target: Scatter, length: number): Answer {
    return this.#judge("read", position, length) ?? this.#base.read(position, target, length);
  }

  write(position: number, source: Scatter, length: number): Answer {
    return this.#judge("write", position, length) ?? this.#base.write(position, source, length);
  }

  flush(): Answer {
    return this.#judge("flush", 0, 0) ?? this.#base.flush();
  }

  discard(position: number, length: number): Answer {
    return this.#judge("discard", position, length) ?? this.#base.discard(position, length);
  }

  writeZeroes(position: number, length: number, keepSpace: boolean): Answer {
    return this.#judge("write-zeroes", position, length) ?? this.#base.writeZeroes(position, length, keepSpace);
  }

  extentAt(position: number): ExtentStatus {
    return this.#base.extentAt(position);
  }

  close(): Answer {
    return this.#base.close();
  }

  #judge(kind: StoreRequest["kind"], position: number, length: number): Promise<void> | undefined {
    const failure = this.rule({ kind, position, length, number: this.#requests++ });
    if (failure === undefined) return undefined;
    if (this.#by === "throw") throw failure;
    return Promise.reject(failure);
  }
}
