/** A target's commands that left the bus: all of them, and in order those that want to come back by reselection. */
import type { ScsiWire } from "../chip/scsi-wire.js";
import type { TargetCommand } from "./target-command.js";

export class WaitingCommands {
  readonly away = new Set<TargetCommand>();
  readonly #ready: TargetCommand[] = [];
  readonly #wire: ScsiWire;
  readonly #id: number;
  readonly #staysAway: boolean;

  /** With `staysAway` nobody reselects before {@link askForBus} is told to. */
  constructor(wire: ScsiWire, id: number, staysAway: boolean) {
    this.#wire = wire;
    this.#id = id;
    this.#staysAway = staysAway;
  }

  /** A command wants to come back; saying so twice is saying it once. */
  makeReady(command: TargetCommand): void {
    if (!this.#ready.includes(command)) this.#ready.push(command);
    this.askForBus();
  }

  /** Asks to reselect, when a command wants to come back. `anyway`: although the target stays away. */
  askForBus(anyway = false): void {
    if (this.#ready.length > 0 && (anyway || !this.#staysAway)) this.#wire.requestReselection(this.#id);
  }

  /** The command that comes back first; it waits no more. */
  takeReady(): TargetCommand | undefined {
    const command = this.#ready.shift();
    if (command !== undefined) this.away.delete(command);
    return command;
  }

  /** Ends the commands that `concerns` picks, without an answer. */
  abort(concerns: (command: TargetCommand) => boolean): void {
    for (const command of [...this.away]) {
      if (!concerns(command)) continue;
      command.isAborted = true;
      this.away.delete(command);
      const at = this.#ready.indexOf(command);
      if (at >= 0) this.#ready.splice(at, 1);
    }
    if (this.#ready.length === 0) this.#wire.cancelReselection(this.#id);
  }
}
