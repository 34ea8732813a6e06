/**
 * The A4091's queue function as it should be: on a host adapter's driver, which is told of ends by interrupts, carries
 * commands of several targets at once, lets them disconnect, moves as much as the target has, fetches sense, knows LUNs
 * and runs out of patience.
 */
import type { GuestMemory } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import { type CommandAnswer, type ScsiInitiator, ScsiResponse, ScsiStatus, unitAddress } from "../../scsi/index.js";
import { cdbLengthOf, type SdCom } from "./sdcom.js";

const requestSense = 0x03;

/** What the driver is given. */
export interface HostAdapterParts {
  readonly memory: GuestMemory;
  /** Drivers of the boards, by their bases. */
  readonly adapters: ReadonlyMap<number, ScsiInitiator>;
  /** Where a card's board is: boards of several products are driven here, so their indices are not enough. */
  readonly cardBase: (card: number) => number | undefined;
  readonly observer?: Observer | undefined;
}

/** The driver. */
export class HostAdapterA4091 {
  readonly #parts: HostAdapterParts;
  /** Sense that an adapter fetched, by card, unit and LUN: the next REQUEST SENSE gets it, as from the unit itself. */
  readonly #kept = new Map<number, Uint8Array>();

  constructor(parts: HostAdapterParts) {
    this.#parts = parts;
  }

  /** `a4091queue`. */
  readonly queue = (_index: number, command: SdCom): boolean => {
    const { addr, nbyte, reading, card, unit, cdb } = command;
    const { adapters, cardBase } = this.#parts;
    const adapter = adapters.get(cardBase(card) ?? 0);
    const region = nbyte === 0 ? undefined : this.#parts.memory.findRange(addr, nbyte);
    command.residual = nbyte;
    command.senseLength = 0;
    if (adapter === undefined || unit > 7 || (nbyte > 0 && region === undefined)) {
      command.fail();
      return true;
    }
    const lun = lunOfCdb(cdb);
    const place = (card << 6) | (unit << 3) | lun;
    this.#tell("command", { unit, lun, operation: cdb[0], nbyte, addr });
    const data = region?.bytes.subarray(addr - region.base, addr - region.base + nbyte) ?? new Uint8Array(0);
    if (cdb[0] === requestSense && this.#giveSense(place, command, data)) return true;
    const bytes = cdb.slice(0, cdbLengthOf(cdb[0]));
    const options = nbyte === 0 ? {} : reading ? { dataIn: data } : { dataOut: data };
    adapter.execute(unitAddress(unit, lun), bytes, options).then(
      (answer) => this.#ended(place, command, answer),
      (error: unknown) => {
        this.#tell("failed", { unit, reason: error instanceof Error ? error.message : String(error) });
        command.fail();
      },
    );
    return true;
  };

  #ended(place: number, command: SdCom, { response, status, sense, residual }: CommandAnswer): void {
    this.#tell("result", { unit: command.unit, response, status, residual });
    // A target that has more than there is room for gave what was asked for.
    if (response !== ScsiResponse.Ok && response !== ScsiResponse.Overrun) {
      command.fail();
      return;
    }
    command.residual = residual;
    if (status === ScsiStatus.CheckCondition && sense.length > 0) {
      command.senseLength = Math.min(sense.length, command.sense.length);
      command.sense.set(sense.subarray(0, command.senseLength));
      this.#kept.set(place, sense.slice());
    } else this.#kept.delete(place);
    command.end(status);
  }

  /** Answers REQUEST SENSE with what was fetched already. */
  #giveSense(place: number, command: SdCom, data: Uint8Array): boolean {
    const kept = this.#kept.get(place);
    if (kept === undefined || !command.reading) return false;
    this.#kept.delete(place);
    const length = Math.min(kept.length, data.length, command.cdb[4]);
    data.set(kept.subarray(0, length));
    command.residual = data.length - length;
    command.end(ScsiStatus.Good);
    return true;
  }

  #tell(name: string, fields: Readonly<Record<string, number | string>>): void {
    this.#parts.observer?.emit({ category: "scsi", source: "A4:", name, fields });
  }
}

/** `sdcom` has no field for the LUN: SCSI-1 has it in the CDB, in commands of 6, 10 and 12 bytes. */
function lunOfCdb(cdb: Uint8Array): number {
  const group = cdb[0] >> 5;
  return group <= 2 || group === 5 ? cdb[1] >> 5 : 0;
}
