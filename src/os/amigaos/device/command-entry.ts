/** What a command is to the device: who answers it, where, and whether at once. Tables of these are in `commands/`. */
import type { IoRequest } from "../exec/index.js";
import type { DeviceAccess, UnitAccess } from "./unit.js";

/** A request as handlers see it. */
export type UnitRequest = IoRequest<DeviceAccess, UnitAccess>;

/** Answered in the caller's context; keeps IOF_QUICK. Sets ioActual and ioError. `unit` is undefined without a valid one. */
export interface QuickCommand {
  readonly kind: "quick";
  readonly run: (device: DeviceAccess, unit: UnitAccess | undefined, request: UnitRequest) => void;
}

/** Kept until something happens. Runs in the caller's context; `answered`: ioError is set and it goes back at once. */
export interface HeldCommand {
  readonly kind: "held";
  readonly run: (device: DeviceAccess, unit: UnitAccess | undefined, request: UnitRequest) => "held" | "answered";
}

/** Queued on the unit; its task runs it. Sets ioActual and ioError; the task replies. */
export interface QueuedCommand {
  readonly kind: "queued";
  readonly run: (unit: UnitAccess, request: UnitRequest) => void | Promise<void>;
}

/** Queued on the unit and pipelined: a read or write of ioLength bytes at ioData. */
export interface TransferCommand {
  readonly kind: "transfer";
  readonly isWrite: boolean;
  /** Bytes from the start of the disk. A value that no disk has (or NaN) ends as the planner says. */
  readonly offset: (request: UnitRequest) => number;
  /** Checked before anything is sent, and again nothing is sent when it gives an {@link IoError}. Undefined: no check. */
  readonly check?: (unit: UnitAccess, request: UnitRequest) => number;
}

/** Any command. */
export type CommandEntry = QuickCommand | HeldCommand | QueuedCommand | TransferCommand;

/** Commands by number; what is not in it is IOERR_NOCMD. */
export type CommandTable = ReadonlyMap<number, CommandEntry>;
