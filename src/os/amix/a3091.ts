/**
 * The queue function of the A3000's own SCSI. A command is done when its completion phase was seen, never before `queue`
 * returns; several units work at once. Where the controller is a phantom nobody ever answers, and time runs out.
 */
import type { Observer } from "../../observe/index.js";
import type { SdCom } from "./sdcom.js";

/** A command for the controller. */
export interface OnboardCommand {
  /** SCSI id. */
  readonly target: number;
  readonly cdb: Uint8Array;
  /** Physical address of the data. */
  readonly address: number;
  /** Bytes. */
  readonly length: number;
  /** From the unit to memory. */
  readonly reading: boolean;
}

/** The controller as its driver sees it. */
export interface OnboardScsi {
  /** Starts a command. `ended` is called once and never from within: with the status, or nothing when no unit answered. */
  start(command: OnboardCommand, ended: (status: number | undefined) => void): void;
}

/** How long a command may take. A selection that nobody answers takes a quarter of a second. */
const defaultPatience = 250;

/** How the driver is made. */
export interface A3091Options {
  /** Undefined where the controller is a phantom. */
  readonly controller: OnboardScsi | undefined;
  /** Milliseconds until a phantom's command is given up. Default 250. */
  readonly patience?: number;
  readonly observer?: Observer | undefined;
}

/** `a3091queue` for one machine. */
export function a3091Queue({ controller, patience = defaultPatience, observer }: A3091Options) {
  return (_index: number, command: SdCom): boolean => {
    const { unit: target, cdb, addr: address, nbyte: length, reading } = command;
    command.okay = false;
    command.residual = 0;
    command.senseLength = 0;
    const ended = (status: number | undefined) => {
      if (status === undefined) {
        observer?.emit({ category: "scsi", source: "a3091", name: "no answer", fields: { target } });
        command.fail();
      } else command.end(status);
    };
    if (controller === undefined) setTimeout(() => ended(undefined), patience);
    else controller.start({ target, cdb: cdb.slice(), address, length, reading }, ended);
    return true;
  };
}
