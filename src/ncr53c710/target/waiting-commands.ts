/**
 * A target's commands that left the bus, linked through themselves: in the order in which they want to come back, those
 * that do not want to yet among them.
 */
import type { ScsiWire } from "../chip/scsi-wire.js";
import type { TargetCommand } from "./target-command.js";

/** What waiting needs. */
export interface WaitingParts {
  readonly wire: ScsiWire;
  /** The target's id. */
  readonly id: number;
  /** Nobody reselects before {@link WaitingCommands.askForBus} is told to. */
  readonly staysAway: boolean;
  /** Whether a command's nexus has a contingent allegiance: it must not come back before that is over. */
  isSuspended(command: TargetCommand): boolean;
}

export class WaitingCommands {
  /** Commands off the bus. */
  count = 0;
  readonly #parts: WaitingParts;
  #first: TargetCommand | undefined;
  #last: TargetCommand | undefined;

  constructor(parts: WaitingParts) {
    this.#parts = parts;
  }

  /** The one that left the bus first, or wants to come back first; the others by {@link TargetCommand.following}. */
  get first(): TargetCommand | undefined {
    return this.#first;
  }

  /** A command left the bus. */
  add(command: TargetCommand): void {
    command.isReady = false;
    this.#append(command);
  }

  /** A command wants to come back; saying so twice is saying it once. */
  makeReady(command: TargetCommand): void {
    if (!command.isReady) {
      this.#remove(command);
      command.isReady = true;
      this.#append(command);
    }
    this.askForBus();
  }

  /**
   * Asks to reselect, when a command wants to come back and may; takes the wish back when none does any more. `anyway`:
   * although the target stays away.
   */
  askForBus(anyway = false): void {
    const { wire, id, staysAway } = this.#parts;
    if (this.#next() === undefined) wire.cancelReselection(id);
    else if (anyway || !staysAway) wire.requestReselection(id);
  }

  /** The command that comes back first; it waits no more. */
  takeReady(): TargetCommand | undefined {
    const command = this.#next();
    if (command !== undefined) this.#remove(command);
    return command;
  }

  /** Ends the commands that `concerns` picks, without an answer. */
  abort(concerns: (command: TargetCommand) => boolean): void {
    for (let command = this.#first; command !== undefined; ) {
      const { following } = command;
      if (concerns(command)) {
        command.abort();
        this.#remove(command);
      }
      command = following;
    }
    if (this.#next() === undefined) this.#parts.wire.cancelReselection(this.#parts.id);
  }

  #next(): TargetCommand | undefined {
    for (let command = this.#first; command !== undefined; command = command.following) {
      if (command.isReady && !this.#parts.isSuspended(command)) return command;
    }
    return undefined;
  }

  #append(command: TargetCommand): void {
    command.following = undefined;
    command.preceding = this.#last;
    if (this.#last === undefined) this.#first = command;
    else this.#last.following = command;
    this.#last = command;
    this.count++;
  }

  #remove(command: TargetCommand): void {
    const { preceding, following } = command;
    if (preceding === undefined) this.#first = following;
    else preceding.following = following;
    if (following === undefined) this.#last = preceding;
    else following.preceding = preceding;
    command.preceding = undefined;
    command.following = undefined;
    this.count--;
  }
}
