/** `struct sdcom`: a command on its way down the stack, as an object and as the 40 bytes that a program passes to the kernel. */
import { bytes, type StructValue, struct, u8, u32 } from "../../bytes/index.js";

/** Bytes that a CDB has here. */
export const sdcomCdbLength = 12;

/** The structure, big-endian, packed as the compiler of the 68030 lays it out: 40 bytes. */
export const sdcomLayout = struct({
  next: u32,
  /** Not 0: from the device to memory. */
  reading: u8,
  /** Not 0: the command ended with a status, whichever. */
  okay: u8,
  status: u8,
  cdb: bytes(sdcomCdbLength),
  pad: u8,
  addr: u32,
  nbyte: u32,
  card: u32,
  unit: u32,
  intr: u32,
});

/** The fields of the structure. */
export type SdcomFields = StructValue<typeof sdcomLayout>;

/** Status of a command that never got one. */
export const noStatus = 0xff;

/** Sense data that an adapter fetched by itself, at most. */
const senseRoom = 18;

/** A command in the kernel. Kept and reused by whoever sends it; a driver owns it from `queue` to `intr`. */
export class SdCom {
  /** From the device to memory. */
  reading = false;
  /** Set at the end: there is a status. */
  okay = false;
  status = 0;
  readonly cdb = new Uint8Array(sdcomCdbLength);
  /** Physical address of the data. */
  addr = 0;
  /** Bytes of data. */
  nbyte = 0;
  card = 0;
  unit = 0;
  /** Called once at the end, maybe before `queue` returns. */
  intr: (command: SdCom) => void = () => {};
  /** Bytes that were not moved, where the driver knows; the structure has no field for it. */
  residual = 0;
  /** What an adapter with autosense fetched; the structure has no field for it either. */
  readonly sense = new Uint8Array(senseRoom);
  senseLength = 0;

  /** Fills in what to do, but for the CDB. */
  aim(card: number, unit: number, reading: boolean, addr: number, nbyte: number): void {
    this.card = card;
    this.unit = unit;
    this.reading = reading;
    this.addr = addr;
    this.nbyte = nbyte;
  }

  /** Ends the command without a status. */
  fail(): void {
    this.okay = false;
    this.status = noStatus;
    this.intr(this);
  }

  /** Ends the command with the target's status. */
  end(status: number): void {
    this.okay = true;
    this.status = status;
    this.intr(this);
  }
}

/** Bytes of the CDB that begins with this operation code, as the seed's driver counts: by group, 6, 12 or 10. */
export function cdbLengthOf(operation: number): number {
  const group = operation >> 5;
  if (group === 0) return 6;
  return group === 5 ? 12 : 10;
}
