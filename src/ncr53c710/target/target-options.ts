/** How a target behaves on the wire where the standard leaves it a choice. */
import type { FaultHook, Observer } from "../../observe/index.js";

/** Every field has a default. */
export interface TargetOptions {
  /**
   * When it leaves the bus between command and status, if the initiator permits. Default "slow": when the store does
   * not answer at once. "always": after every command that has data to move or work to do.
   */
  readonly disconnect?: "never" | "slow" | "always";
  /** Leaves the bus each time it has moved this many bytes of data and has more, if the initiator permits. */
  readonly disconnectEvery?: number;
  /** Whether SAVE DATA POINTERS comes before DISCONNECT in the middle of data. Default true. */
  readonly savesPointers?: boolean;
  /** Whether it stays away until {@link ScsiPhaseTarget.returnToBus} is called: for tests. Default false. */
  readonly staysAway?: boolean;
  /** Shortest synchronous period in units of 4 ns, 0 to refuse synchronous transfers. Default 25, which is 100 ns. */
  readonly synchronousPeriod?: number;
  /** Largest REQ/ACK offset. Default 8. */
  readonly synchronousOffset?: number;
  /** How it answers SDTR and WDTR: with MESSAGE REJECT. Default false. */
  readonly rejectsNegotiation?: boolean;
  /**
   * How often it repeats the data of a command after an error on the bus (RESTORE POINTERS), before the command ends
   * with ABORTED COMMAND. Default 0: scripts in the wild acknowledge RESTORE POINTERS and restore nothing.
   */
  readonly repeatsAfterError?: number;
  /** Largest data transfer in bytes; a command that asks for more fails. Default 32 MiB. */
  readonly maximumTransfer?: number;
  /** Commands that it keeps at once; one more gets TASK SET FULL. Default 64. */
  readonly maximumCommands?: number;
  readonly observer?: Observer | undefined;
  readonly faults?: FaultHook | undefined;
}
