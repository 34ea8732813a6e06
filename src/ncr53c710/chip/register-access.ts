/** Reads and writes of single byte registers, with what they cause. */
import {
  Ctest0,
  Ctest2,
  Ctest4,
  Ctest5,
  Ctest7,
  Ctest8,
  Dcntl,
  Dstat,
  Istat,
  longRegisters,
  Reg,
  readOnlyRegisters,
  registerFileSize,
  Scntl0,
  Scntl1,
  Sstat1,
} from "../registers.js";
import type { Ncr53c710 } from "./chip.js";
import { DmaFifo, isOdd, ScsiFifo } from "./fifos.js";

/** Bits that a host can write and read back, by register number; registers not listed take all 8. */
const writable: Readonly<Record<number, number>> = {
  [Reg.SCNTL0]: 0xff & ~Scntl0.Start,
  [Reg.SCNTL1]: 0xfc & ~Scntl1.Con,
  [Reg.CTEST0]: 0x7c,
  [Reg.CTEST5]: 0xff & ~(Ctest5.Adck | Ctest5.Bbck),
  [Reg.DIEN]: 0x3f,
  [Reg.DCNTL]: 0xff & ~Dcntl.Std,
  [Reg.DFIFO]: 0x7f,
};

/** Numbers of all bytes of the registers that a host cannot write. */
const readOnly: ReadonlySet<number> = new Set(
  readOnlyRegisters.flatMap((name) => {
    const bytes = (longRegisters as readonly string[]).includes(name) ? 4 : 1;
    return Array.from({ length: bytes }, (_, byte) => Reg[name] + byte);
  }),
);

const sscf = 0x03;
/** SSTAT2.SDP */
const latchedParity = 0x08;

export class RegisterAccess {
  readonly #chip: Ncr53c710;
  readonly #revision: number;
  readonly #dmaFifo = new DmaFifo();
  readonly #scsiFifo = new ScsiFifo();
  #dmaParity = false;
  #scsiParity = false;
  #isFlushing = false;

  constructor(chip: Ncr53c710, revision: number) {
    this.#chip = chip;
    this.#revision = revision;
  }

  reset(): void {
    this.#dmaFifo.clear();
    this.#scsiFifo.clear();
    this.#dmaParity = false;
    this.#scsiParity = false;
  }

  /** CTEST7.STD: selections never time out. */
  get isSelectionTimerOff(): boolean {
    return (this.#chip.file.bytes[Reg.CTEST7] & Ctest7.Std) !== 0;
  }

  /** Reads the register of this number; past the file 0. */
  read(number: number): number {
    if (number >= registerFileSize) return 0;
    const { file, causes, hand } = this.#chip;
    const stored = file.bytes[number];
    switch (number) {
      case Reg.SCNTL0:
        return stored | (hand.isStarting ? Scntl0.Start : 0);
      case Reg.SCNTL1:
        return stored | (this.#isConnected ? Scntl1.Con : 0);
      case Reg.SOCL:
        return hand.output;
      case Reg.SIDL:
        return hand.readInput();
      case Reg.SBDL:
        return hand.data;
      case Reg.SBCL:
        return hand.control;
      case Reg.DSTAT:
        return this.#readDmaStatus();
      case Reg.SSTAT0:
        return causes.takeScsi();
      case Reg.SSTAT1:
        return hand.status | ((file.bytes[Reg.SCNTL1] & Scntl1.Rst) === 0 ? 0 : Sstat1.Rst);
      case Reg.SSTAT2:
        return this.#readLatchedStatus();
      case Reg.CTEST1:
        return this.#dmaFifo.flags;
      case Reg.CTEST2:
        return this.#readSignal();
      case Reg.CTEST3:
        return this.#popScsi();
      case Reg.CTEST6:
        return this.#popDma();
      case Reg.ISTAT:
        return this.#readInterruptStatus();
      case Reg.CTEST8:
        return stored | (this.#revision << 4);
      default:
        return stored;
    }
  }

  /** Writes as a host does. While ISTAT.RST holds the chip, nothing else takes a value. */
  write(number: number, value: number): void {
    if (this.#chip.isInReset && number !== Reg.ISTAT) return;
    if (!readOnly.has(number)) this.#write(number, value);
  }

  /** Writes as SCRIPTS do, who may write SFBR. */
  writeFromScripts(number: number, value: number): void {
    if (number === Reg.SFBR) this.#chip.file.bytes[number] = value;
    else if (number < registerFileSize) {
      if (!readOnly.has(number)) this.#write(number, value);
      if (number === Reg.DSP + 3) this.addressWritten();
    }
  }

  /** DSP has its last byte, which starts SCRIPTS. */
  addressWritten(): void {
    this.#chip.instructionAddressWritten();
  }

  get #isConnected(): boolean {
    return this.#chip.port.isConnected || this.#chip.hand.hasBus;
  }

  /** SSTAT2: the SCSI FIFO's count, the parity of SIDL, the phase of the last REQ. */
  #readLatchedStatus(): number {
    const { port, file } = this.#chip;
    // The latch follows REQ.
    port.phase();
    const parity = port.hasInput && !isOdd(file.bytes[Reg.SIDL]) ? latchedParity : 0;
    return (this.#scsiFifo.count << 4) | parity | port.latchedPhase;
  }

  #readDmaStatus(): number {
    const { file, causes } = this.#chip;
    const causesNow = causes.takeDma();
    // An abort that was not taken back latches again.
    if ((file.bytes[Reg.ISTAT] & Istat.Abrt) !== 0) causes.addDma(Dstat.Abrt);
    return causesNow | (this.#dmaFifo.isEmpty ? Dstat.Dfe : 0);
  }

  #readInterruptStatus(): number {
    const { file, causes } = this.#chip;
    const pending = (causes.isScsiPending ? Istat.Sip : 0) | (causes.isDmaPending ? Istat.Dip : 0);
    return file.bytes[Reg.ISTAT] | (this.#isConnected ? Istat.Con : 0) | pending;
  }

  #readSignal(): number {
    const { file } = this.#chip;
    const signal = (file.bytes[Reg.ISTAT] & Istat.Sigp) !== 0 ? Ctest2.Sigp : 0;
    file.bytes[Reg.ISTAT] &= ~Istat.Sigp;
    const parity = (this.#scsiParity ? Ctest2.Sfp : 0) | (this.#dmaParity ? Ctest2.Dfp : 0);
    return signal | parity | Ctest2.Dack;
  }

  #popScsi(): number {
    const popped = this.#scsiFifo.pop();
    this.#scsiParity = (popped & 0x100) !== 0;
    return popped & 0xff;
  }

  /** The DMA FIFO's lane that CTEST4.FBL chooses, if it chooses one. */
  get #lane(): number {
    const choice = this.#chip.file.bytes[Reg.CTEST4] & Ctest4.Fbl;
    return choice < 4 ? -1 : choice - 4;
  }

  #popDma(): number {
    const lane = this.#lane;
    if (lane < 0) return 0;
    const popped = this.#dmaFifo.pop(lane);
    this.#dmaParity = (popped & 0x100) !== 0;
    return popped & 0xff;
  }

  #write(number: number, value: number): void {
    const chip = this.#chip;
    const { bytes } = chip.file;
    const before = bytes[number];
    const mask = writable[number] ?? 0xff;
    switch (number) {
      case Reg.SCNTL0:
        bytes[number] = value & mask;
        chip.hand.startWritten((value & Scntl0.Start) !== 0);
        return;
      case Reg.SCNTL1:
        bytes[number] = value & mask;
        if (((before ^ value) & Scntl1.Rst) !== 0) chip.scsiResetWritten((value & Scntl1.Rst) !== 0);
        if (((before ^ value) & Scntl1.Adb) !== 0) chip.hand.linesWritten();
        return;
      case Reg.SODL:
        bytes[number] = value;
        if ((bytes[Reg.CTEST4] & Ctest4.Sfwr) === 0) chip.hand.dataWritten();
        else this.#scsiFifo.push(value, (bytes[Reg.SCNTL1] & Scntl1.Aesp) !== 0);
        return;
      case Reg.SOCL:
        bytes[number] = value;
        chip.hand.controlWritten();
        return;
      case Reg.CTEST4:
        bytes[number] = value;
        if (((before ^ value) & Ctest4.Slbe) !== 0) chip.hand.loopbackWritten();
        return;
      case Reg.SBCL:
        bytes[number] = value & sscf;
        return;
      case Reg.SIEN:
      case Reg.DIEN:
        bytes[number] = value & mask;
        chip.causes.update();
        return;
      case Reg.CTEST0:
        bytes[number] = (value & mask) | (before & Ctest0.Ddir);
        return;
      case Reg.CTEST5:
        bytes[number] = value & mask;
        if ((value & Ctest5.Adck) !== 0) chip.file.setLong(Reg.DNAD, (chip.file.long(Reg.DNAD) + 4) >>> 0);
        if ((value & Ctest5.Bbck) !== 0) chip.file.count -= 4;
        // MASR says what DDIR does: makes the direction that CTEST0 shows, or takes it back.
        if ((value & Ctest5.Ddir) !== 0) {
          if ((value & Ctest5.Masr) !== 0) bytes[Reg.CTEST0] |= Ctest0.Ddir;
          else bytes[Reg.CTEST0] &= ~Ctest0.Ddir;
        }
        return;
      case Reg.CTEST6:
        if (this.#lane >= 0) this.#dmaFifo.push(this.#lane, value, (bytes[Reg.CTEST7] & Ctest7.Dfp) !== 0);
        return;
      case Reg.CTEST8:
        bytes[number] = value & (Ctest8.Flf | Ctest8.Fm | Ctest8.Sm);
        if ((value & Ctest8.Clf) !== 0) {
          this.#dmaFifo.clear();
          this.#scsiFifo.clear();
          chip.hand.emptyLatches();
        } else if ((value & Ctest8.Flf) !== 0) this.#flush();
        return;
      case Reg.ISTAT: {
        const kept = value & (Istat.Abrt | Istat.Rst | Istat.Sigp);
        bytes[number] = kept;
        chip.statusWritten(before ^ kept);
        return;
      }
      case Reg.DCNTL:
        bytes[number] = value & mask;
        if ((value & Dcntl.Std) !== 0) chip.startWritten();
        return;
      default:
        bytes[number] = value & mask;
    }
  }

  /**
   * CTEST8.FLF: the DMA FIFO goes to memory at DNAD, lane after lane, up to the first lane that has no byte for its
   * address. Only towards memory (CTEST0.DDIR); what was on its way to the bus stays.
   */
  #flush(): void {
    const { file, bus, points, causes } = this.#chip;
    // What is written may be the chip's own CTEST8.
    if ((file.bytes[Reg.CTEST0] & Ctest0.Ddir) === 0 || this.#isFlushing) return;
    this.#isFlushing = true;
    for (;;) {
      const address = file.long(Reg.DNAD);
      const lane = (address & 3) ^ points.firstLane;
      if (this.#dmaFifo.isLaneEmpty(lane)) break;
      if (!bus.write8(address, this.#dmaFifo.front(lane))) {
        causes.addDma(Dstat.Bf);
        break;
      }
      this.#dmaFifo.pop(lane);
      file.setLong(Reg.DNAD, (address + 1) >>> 0);
      if (file.count > 0) file.count--;
    }
    this.#isFlushing = false;
  }
}
