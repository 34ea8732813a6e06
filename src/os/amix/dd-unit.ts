/** A disk as `dd` drives it: its queue, and the one command that it has at a time. */
import { SdCom } from "./sdcom.js";

/** A request to the block driver (`struct buf`). */
export interface Buf {
  readonly card: number;
  readonly unit: number;
  readonly slice: number;
  readonly write: boolean;
  /** First block within the slice. */
  readonly block: number;
  /** Bytes. */
  readonly bcount: number;
  /** Physical address of the data. */
  readonly addr: number;
  /** Set at the end: it failed. */
  error: boolean;
  /** Set at the end: bytes that were not moved. */
  resid: number;
  /** Set when the unit complained: its sense key. */
  senseKey?: number;
  /** `iodone`. */
  readonly done: (buf: Buf) => void;
}

/** What the command in flight is for. */
export type CommandState = "first" | "sense" | "retry";

/** Operation codes that the driver sends. */
export const DdCommand = { RequestSense: 0x03, Read: 0x28, Write: 0x2a } as const;
/** Bytes of sense data that it asks for. */
export const ddSenseLength = 16;

/** A card and unit. */
export class DdUnit {
  readonly card: number;
  readonly unit: number;
  /** The one in work, and those behind it. */
  readonly queue: Buf[] = [];
  readonly command = new SdCom();
  state: CommandState = "first";
  /** A command is on its way. */
  isBusy = false;
  /** Somebody up the stack starts requests in a loop. */
  isDraining = false;

  constructor(card: number, unit: number, intr: () => void) {
    this.card = card;
    this.unit = unit;
    this.command.intr = intr;
  }

  /** Fills in READ(10) or WRITE(10) for a request at a block of the disk. */
  buildTransfer({ write, bcount, addr }: Buf, block: number): void {
    const { command } = this;
    command.aim(this.card, this.unit, !write, addr, bcount);
    const { cdb } = command;
    cdb.fill(0);
    cdb[0] = write ? DdCommand.Write : DdCommand.Read;
    cdb[2] = block >>> 24;
    cdb[3] = block >>> 16;
    cdb[4] = block >>> 8;
    cdb[5] = block;
    // 16 bits: what is above is lost.
    const count = Math.floor(bcount / 512);
    cdb[7] = count >>> 8;
    cdb[8] = count;
  }

  /** Fills in REQUEST SENSE. */
  buildSense(addr: number): void {
    const { command } = this;
    command.aim(this.card, this.unit, true, addr, ddSenseLength);
    command.cdb.fill(0);
    command.cdb[0] = DdCommand.RequestSense;
    command.cdb[4] = ddSenseLength;
  }
}
