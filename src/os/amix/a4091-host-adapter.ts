/**
 * The A4091's queue function as it should be: on the host adapter's driver, which is told of ends by interrupts, carries
 * commands of several targets at once, lets them disconnect, moves as much as the target has, fetches sense, knows LUNs
 * and runs out of patience. Nothing is allocated for a command in steady state.
 */
import type { GuestMemory } from "../../memory/index.js";
import type { AdapterCommand, HostAdapter } from "../../ncr53c710/index.js";
import type { Observer } from "../../observe/index.js";
import { ScsiResponse, ScsiStatus, unitAddress } from "../../scsi/index.js";
import { cdbLengthOf, type SdCom } from "./sdcom.js";

const requestSense = 0x03;
const targets = 8;

/** What the driver is given. */
export interface HostAdapterParts {
  readonly memory: GuestMemory;
  /** Drivers of the boards, by their bases. */
  readonly adapters: ReadonlyMap<number, HostAdapter>;
  /** Where a card's board is: boards of several products are driven here, so their indices are not enough. */
  readonly cardBase: (card: number) => number | undefined;
  readonly observer?: Observer | undefined;
}

/** A request of an adapter that is used again and again, and the command that it carries now. */
class Slot {
  readonly request: AdapterCommand;
  readonly #free: Slot[];
  readonly #ended: (slot: Slot, command: SdCom) => void;
  /** Card, unit and LUN as one number. */
  place = 0;
  #command: SdCom | undefined;

  constructor(request: AdapterCommand, free: Slot[], ended: (slot: Slot, command: SdCom) => void) {
    this.request = request;
    this.#free = free;
    this.#ended = ended;
    request.onEnd = () => this.#end();
  }

  carry(command: SdCom, place: number): void {
    this.#command = command;
    this.place = place;
  }

  /** Nothing was sent. */
  drop(): void {
    this.#command = undefined;
    this.#free.push(this);
  }

  /** What the request knows is taken out of it before anybody uses it again. */
  #end(): void {
    const command = this.#command;
    this.#command = undefined;
    if (command === undefined) return;
    this.#ended(this, command);
    this.#free.push(this);
    command.intr(command);
  }
}

/** The driver. */
export class HostAdapterA4091 {
  readonly #parts: HostAdapterParts;
  readonly #free = new Map<HostAdapter, Slot[]>();
  /** CDBs of 6, 10 and 12 bytes on their way into a request. */
  readonly #cdbs = [new Uint8Array(6), new Uint8Array(10), new Uint8Array(12)] as const;
  /** Sense that an adapter fetched, by card, unit and LUN: the next REQUEST SENSE gets it, as from the unit itself. */
  readonly #kept = new Map<number, Uint8Array>();

  constructor(parts: HostAdapterParts) {
    this.#parts = parts;
  }

  /** `a4091queue`. */
  readonly queue = (_index: number, command: SdCom): boolean => {
    const { addr, nbyte, reading, card, unit, cdb } = command;
    const { adapters, cardBase, memory } = this.#parts;
    const adapter = adapters.get(cardBase(card) ?? 0);
    command.residual = nbyte;
    command.senseLength = 0;
    const isReachable = nbyte === 0 || memory.findRange(addr, nbyte) !== undefined;
    if (adapter === undefined || unit >= targets || !isReachable) {
      command.fail();
      return true;
    }
    const lun = lunOfCdb(cdb);
    const place = (card << 6) | (unit << 3) | lun;
    this.#tell("command", command, lun);
    if (cdb[0] === requestSense && this.#giveSense(place, command)) return true;
    const slot = this.#slot(adapter, command);
    if (slot === undefined) return true;
    const { request } = slot;
    try {
      request.pointAt(unitAddress(unit, lun));
      request.setCdb(this.#stage(cdb));
      request.clearData();
      if (nbyte > 0 && reading) request.addIn(addr, nbyte);
      else if (nbyte > 0) request.addOut(addr, nbyte);
      slot.carry(command, place);
      adapter.submit(request);
    } catch (error) {
      // The adapter's own id, or a board that was given up.
      slot.drop();
      this.#refused(command, error);
    }
    return true;
  };

  /** Answers REQUEST SENSE with what was fetched already. */
  #giveSense(place: number, command: SdCom): boolean {
    const kept = this.#kept.get(place);
    if (kept === undefined || !command.reading) return false;
    this.#kept.delete(place);
    const length = Math.min(kept.length, command.nbyte, command.cdb[4]);
    if (length > 0) this.#parts.memory.write(command.addr, kept.subarray(0, length));
    command.residual = command.nbyte - length;
    command.end(ScsiStatus.Good);
    return true;
  }

  /** A command's answer, out of its request. */
  readonly #ended = ({ request, place }: Slot, command: SdCom): void => {
    const { state, response, status, residual, senseLength, sense } = request;
    // A target that has more than there is room for gave what was asked for.
    const isAnswer = state === "done" && (response === ScsiResponse.Ok || response === ScsiResponse.Overrun);
    command.okay = isAnswer;
    command.status = isAnswer ? status : 0xff;
    if (isAnswer) command.residual = residual;
    if (isAnswer && status === ScsiStatus.CheckCondition && senseLength > 0) {
      command.senseLength = Math.min(senseLength, command.sense.length);
      for (let index = 0; index < command.senseLength; index++) command.sense[index] = sense[index];
      this.#kept.set(place, command.sense.slice(0, command.senseLength));
    } else if (this.#kept.size > 0) this.#kept.delete(place);
    this.#tell("result", command, place & 7);
  };

  #refused(command: SdCom, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#parts.observer?.emit({ category: "scsi", source: "A4:", name: "refused", fields: { reason } });
    command.fail();
  }

  /** A request that is free, or a new one; the command fails when there is none to be had. */
  #slot(adapter: HostAdapter, command: SdCom): Slot | undefined {
    let free = this.#free.get(adapter);
    if (free === undefined) {
      free = [];
      this.#free.set(adapter, free);
    }
    try {
      return free.pop() ?? new Slot(adapter.acquireRequest(), free, this.#ended);
    } catch (error) {
      this.#refused(command, error);
      return undefined;
    }
  }

  #stage(cdb: Uint8Array): Uint8Array {
    const length = cdbLengthOf(cdb[0]);
    const staged = this.#cdbs[length === 6 ? 0 : length === 10 ? 1 : 2];
    for (let index = 0; index < length; index++) staged[index] = cdb[index];
    return staged;
  }

  #tell(name: string, { unit, cdb, nbyte, status, residual }: SdCom, lun: number): void {
    const { observer } = this.#parts;
    if (observer === undefined) return;
    const fields = name === "command" ? { unit, lun, operation: cdb[0], nbyte } : { unit, lun, status, residual };
    observer.emit({ category: "scsi", source: "A4:", name, fields });
  }
}

/** `sdcom` has no field for the LUN: SCSI-1 has it in the CDB, in commands of 6, 10 and 12 bytes. */
function lunOfCdb(cdb: Uint8Array): number {
  const group = cdb[0] >> 5;
  return group <= 2 || group === 5 ? cdb[1] >> 5 : 0;
}
