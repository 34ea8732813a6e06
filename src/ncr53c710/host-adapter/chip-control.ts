/** The chip's registers as the driver uses them: set up, started, asked why it stopped. Counts its accesses. */
import type { RegisterWindow } from "../../bytes/index.js";
import { Ctest0, Ctest7, Ctest8, Dstat, hostOffset, Istat, Reg, Scntl0, Scntl1, Sstat0, Sstat1 } from "../registers.js";
import type { SyncTiming } from "./sync-timing.js";

/** Where DSTAT, SSTAT0, SSTAT1 and SSTAT2 are one longword: read so, both halves are taken at once. */
const causesLong = 0x0c;
/** DCMD and DBC. */
const countLong = 0x24;

/** Enables for the interrupt pin: everything that stops the script and is not a choice of it. */
const enabledScsi = Sstat0.Ma | Sstat0.Sto | Sstat0.Sge | Sstat0.Udc | Sstat0.Rst | Sstat0.Par;
const enabledDma = Dstat.Bf | Dstat.Abrt | Dstat.Sir | Dstat.Wtd | Dstat.Iid;

export class ChipControl {
  /** Register accesses so far. */
  accesses = 0;
  readonly #window: RegisterWindow;
  readonly #hostId: number;
  readonly #interrupts: boolean;
  /** DFIFO counts here; some chips' models leave it 0, and what it says then is nothing. */
  #countsFifo = false;
  #table = -1;
  #sxfer = -1;
  #clock = -1;

  /** @param window the chip's 64 registers, as a big-endian host sees them. */
  constructor(window: RegisterWindow, hostId: number, interrupts: boolean) {
    this.#window = window;
    this.#hostId = hostId;
    this.#interrupts = interrupts;
  }

  /** Resets the chip and sets it up, with the values of a4091.device. */
  setUp(): void {
    this.#write(Reg.DFIFO, 0x55);
    this.#countsFifo = (this.#read(Reg.DFIFO) & 0x7f) === 0x55;
    this.reset();
    this.#write(Reg.SCNTL0, Scntl0.Arbitration | Scntl0.Epc | Scntl0.Epg);
    this.#write(Reg.SCNTL1, Scntl1.Esr);
    this.#write(Reg.DCNTL, 0);
    this.#write(Reg.DMODE, 0xe0);
    this.#write(Reg.SCID, 1 << this.#hostId);
    this.#write(Reg.DWT, 0);
    this.#write(Reg.CTEST0, this.#read(Reg.CTEST0) | Ctest0.Btd | Ctest0.Ean);
    this.#write(Reg.CTEST7, this.#read(Reg.CTEST7) | Ctest7.Cdis);
    this.#write(Reg.CTEST8, (this.#read(Reg.CTEST8) & Ctest8.Fm) | Ctest8.Sm);
    this.takeCauses();
    this.#write(Reg.SIEN, this.#interrupts ? enabledScsi : 0);
    this.#write(Reg.DIEN, this.#interrupts ? enabledDma : 0);
  }

  /** ISTAT.RST: the chip does nothing any more, and its interrupts are off. */
  reset(): void {
    this.#write(Reg.ISTAT, Istat.Rst);
    this.#write(Reg.ISTAT, 0);
    this.#table = -1;
    this.#sxfer = -1;
    this.#clock = -1;
  }

  /** Drives SCSI RST, or lets it go. */
  driveBusReset(asserted: boolean): void {
    this.#write(Reg.SCNTL1, asserted ? Scntl1.Esr | Scntl1.Rst : Scntl1.Esr);
    this.#sxfer = -1;
  }

  /** Empties both FIFOs. */
  clearFifos(): void {
    this.#write(Reg.CTEST8, Ctest8.Sm | Ctest8.Clf);
    this.#write(Reg.CTEST8, Ctest8.Sm);
  }

  /** Starts the script at `address`. */
  start(address: number): void {
    this.#writeLong(Reg.DSP, address);
  }

  /** The command's table and where its data goes on. */
  point(table: number, chain: number): void {
    if (this.#table !== table) this.#writeLong(Reg.DSA, table);
    this.#table = table;
    this.#writeLong(Reg.TEMP, chain);
  }

  /** Where data goes on. */
  pointChain(chain: number): void {
    this.#writeLong(Reg.TEMP, chain);
  }

  /** The transfer's timing; with `bySelect` the script's SELECT loads SXFER from the table. */
  time({ sxfer, clock }: SyncTiming, bySelect: boolean): void {
    if (this.#clock !== clock) this.#write(Reg.SBCL, clock);
    if (!bySelect && this.#sxfer !== sxfer) this.#write(Reg.SXFER, sxfer);
    this.#clock = clock;
    this.#sxfer = sxfer;
  }

  /** ISTAT: safe while the script runs. */
  interruptStatus(): number {
    return this.#read(Reg.ISTAT);
  }

  /** Wakes a script that waits for a target to come back. */
  signal(): void {
    this.#write(Reg.ISTAT, Istat.Sigp);
  }

  /** Stops the script wherever it is; to be taken back before causes are read. */
  abort(asserted: boolean): void {
    this.#write(Reg.ISTAT, asserted ? Istat.Abrt : 0);
  }

  /** Reads and clears why the chip stopped: SSTAT0 in bits 15…8, DSTAT in 7…0. */
  takeCauses(): number {
    return this.#readLong(causesLong) & 0xff3f;
  }

  vector(): number {
    return this.#readLong(Reg.DSPS);
  }

  /** Address of the instruction behind the one that stopped. */
  stoppedBehind(): number {
    return this.#readLong(Reg.DSP);
  }

  chain(): number {
    return this.#readLong(Reg.TEMP);
  }

  /** Bytes of a block move that were not moved, those in the FIFO among them. */
  remaining(): number {
    const count = this.#readLong(countLong) & 0xff_ffff;
    if (!this.#countsFifo) return count;
    const held = (this.#read(Reg.DFIFO) - (count & 0x7f)) & 0x7f;
    const latched = this.#read(Reg.SSTAT1);
    return count + held + ((latched & Sstat1.Orf) !== 0 ? 1 : 0) + ((latched & Sstat1.Olf) !== 0 ? 1 : 0);
  }

  /** The phase that the target asks for. */
  phase(): number {
    return this.#read(Reg.SBCL) & 7;
  }

  /** The id bits that were on the bus at a reselection, as the script kept them. */
  reselectionIds(): number {
    return this.#readLong(Reg.SCRATCH) & 0xff;
  }

  #read(register: number): number {
    this.accesses++;
    return this.#window.read8(hostOffset(register));
  }

  #write(register: number, value: number): void {
    this.accesses++;
    this.#window.write8(hostOffset(register), value);
  }

  #readLong(register: number): number {
    this.accesses++;
    return this.#window.read32(register) >>> 0;
  }

  #writeLong(register: number, value: number): void {
    this.accesses++;
    this.#window.write32(register, value);
  }
}
