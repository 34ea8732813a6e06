/** The contract between a unit's pipeline and the memory path in `dma/`: one object for each slot, reused. */
import type { ScsiRequest } from "../../../virtio/index.js";
import type { UnitAccess } from "./unit.js";

/** A read or write while it is on its way. Fields and methods allocate nothing. */
export interface SlotTransfer {
  /**
   * Takes a read or write of `length` bytes at byte `offset` of the disk, to or from `address`.
   * @returns an {@link IoError}; 0 when `next` may be called.
   */
  begin(unit: UnitAccess, isWrite: boolean, offset: number, address: number, length: number): number;
  /**
   * Puts the next command of the transfer into `scsi`: its CDB and its data pieces (`clearData`, `addOut`, `addIn`; not
   * `seal`). Lends the memory. @returns 0, or an {@link IoError} and nothing is lent.
   */
  next(scsi: ScsiRequest): number;
  /** Bytes of data of the command that `next` made. */
  readonly commandLength: number;
  /** The command ended with `moved` bytes (0…commandLength): memory comes back, bounced data is copied. */
  end(moved: number): void;
  /** Commands are left after the last one. */
  readonly hasMore: boolean;
  /** Bytes moved in all commands that ended. */
  readonly moved: number;
}

/** The memory path of one unit: made when it is first opened, given back at the last close. */
export interface UnitDataPath {
  /** One for each slot. */
  readonly slots: readonly SlotTransfer[];
  /**
   * Lends a program's buffer for a command of the synchronous path: adds its pieces to `scsi`.
   * @returns 0 or an {@link IoError}, nothing is lent then.
   */
  lend(scsi: ScsiRequest, address: number, length: number, isWrite: boolean): number;
  /** Takes back what `lend` lent to this request; `moved` bytes are valid. */
  takeBack(scsi: ScsiRequest, moved: number): void;
  /** Frees everything. With `keepsMemory` the device may still write: nothing is reused. */
  close(keepsMemory: boolean): void;
}

/** Makes the memory path of a unit. @throws RangeError when memory is short. */
export type OpenDataPath = (unit: UnitAccess, slots: number) => UnitDataPath;
