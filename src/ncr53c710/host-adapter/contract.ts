/**
 * The driver as others use it ({@link NcrHostAdapter} is one): what every host adapter's driver does
 * ({@link ScsiInitiator}), and a level without promises below it, where requests are kept and used again and nothing is
 * allocated.
 */
import type { ScsiInitiator, UnitAddress } from "../../scsi/index.js";

/** What was agreed on with a target. */
export interface SyncAgreement {
  /** In units of 4 ns. */
  readonly period: number;
  /** REQ/ACK offset, 1 to 8. */
  readonly offset: number;
}

/** How a request of the lower level is doing. */
export type AdapterRequestState = "idle" | "waiting" | "started" | "done" | "failed";

/** One command, kept and used again. Prepare it while it is `idle`, `done` or `failed`; then submit it. */
export interface AdapterCommand {
  readonly state: AdapterRequestState;
  /** The command; its bytes are copied. @throws RangeError when it is empty or has more than 32 bytes. */
  setCdb(cdb: Uint8Array): void;
  /** Which unit: targets 0 to 7 but the host's, LUNs 0 to 7. @throws RangeError */
  pointAt(address: UnitAddress): void;
  /** Forgets the data. */
  clearData(): void;
  /** Adds memory, as the board sees it, to what the target takes or fills. All pieces go one way. @throws RangeError */
  addOut(address: number, length: number): void;
  addIn(address: number, length: number): void;
  /** {@link TaskAttribute}; counts with units that queue commands. */
  attribute: number;
  /** Milliseconds until it is called off; 0 for never. Default the driver's. */
  timeout: number;
  /** Called once when it ends, also from within `submit`. It may submit this request or others again. */
  onEnd: (() => void) | undefined;

  // The answer, with state `done`
  readonly response: number;
  readonly status: number;
  readonly residual: number;
  /** Sense data is in the first `senseLength` bytes of `sense`, until the request is used again. */
  readonly sense: Uint8Array;
  readonly senseLength: number;
  /** Why, with state `failed`. */
  readonly error: Error | undefined;
}

/** What the driver counted. */
export interface AdapterCounters {
  /** Commands that ended with an answer. */
  readonly commands: number;
  /** Times that the chip stopped and was looked at. */
  readonly stops: number;
  readonly disconnections: number;
  readonly reselections: number;
  readonly phaseMismatches: number;
  readonly messages: number;
  readonly lostInterrupts: number;
  readonly aborts: number;
  readonly deviceResets: number;
  readonly busResets: number;
  readonly faults: number;
}

/** A driver of an A4091. */
export interface HostAdapter extends ScsiInitiator {
  /** The board's SCSI id. */
  readonly hostId: number;
  /** Commands that were submitted and did not end. */
  readonly inFlight: number;
  /** Why the driver gave the board up, if it did. */
  readonly failure: Error | undefined;
  readonly counters: AdapterCounters;
  /** What was agreed on with a target; undefined while transfers are asynchronous. */
  agreement(target: number): SyncAgreement | undefined;

  /** A request for the level without promises. @throws the failure when the board was given up, RangeError (memory) */
  acquireRequest(): AdapterCommand;
  releaseRequest(request: AdapterCommand): void;
  /** Sends it, now or when its unit and the bus are free. @throws the failure when the board was given up */
  submit(request: AdapterCommand): void;
  /** Looks at the chip and does what it asks for; returns how many commands ended. Bounded. */
  poll(): number;
  /** Has a request that was submitted called off; it ends with RequestAborted once it cannot touch memory any more. */
  callOff(request: AdapterCommand): void;

  /** BUS DEVICE RESET: every command of the target ends with response Reset. */
  resetTarget(target: number): Promise<void>;
  /** Resets the bus: every command that was started ends with response Reset. Resolves when targets have had their time. */
  resetBus(): Promise<void>;
  /** Takes the driver off the board: the chip is reset first, then every request fails once, then memory is given back. */
  close(reason?: Error): Promise<void>;
}
