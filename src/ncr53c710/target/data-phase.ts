/** The data of a command as it goes over the bus in pieces: how much at a time, and when the target leaves in between. */
import type { TargetCommand } from "./target-command.js";
import type { TargetOptions } from "./target-options.js";

/** What follows a piece of data: more of it, leaving the bus first, or nothing, for it was the last. */
export type AfterPiece = "more" | "leave" | "over";

export class DataPhase {
  /** {@link TargetOptions.disconnectEvery} */
  readonly #every: number | undefined;
  /** Data moved since the last (re)connection. */
  #movedHere = 0;

  /** @throws RangeError when an option is out of range. */
  constructor(options: TargetOptions) {
    const { disconnectEvery } = options;
    if (disconnectEvery !== undefined && (!Number.isInteger(disconnectEvery) || disconnectEvery < 1)) {
      throw new RangeError(`disconnectEvery is a whole number of bytes, got ${disconnectEvery}`);
    }
    this.#every = disconnectEvery;
  }

  /** The target was (re)connected. */
  connected(): void {
    this.#movedHere = 0;
  }

  /** Bytes to move now, of the `length` that the initiator could. */
  step(command: TargetCommand, length: number): number {
    const left = Math.min(length, command.total - command.position);
    if (this.#every === undefined || !command.mayDisconnect) return left;
    return Math.min(left, this.#every - this.#movedHere);
  }

  /** A piece was moved. */
  moved(command: TargetCommand, step: number): AfterPiece {
    command.position += step;
    this.#movedHere += step;
    if (command.position >= command.total) return "over";
    const leaves = command.mayDisconnect && this.#every !== undefined && this.#movedHere >= this.#every;
    return leaves ? "leave" : "more";
  }
}
