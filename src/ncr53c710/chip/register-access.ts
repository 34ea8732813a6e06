/** Reads and writes of single byte registers, with what they cause. */
import {
  Ctest2,
  Ctest4,
  Ctest5,
  Ctest7,
  Ctest8,
  Dcntl,
  Dstat,
  Istat,
  Lines,
  Reg,
  registerFileSize,
  Scntl0,
  Scntl1,
  Sstat1,
} from "../registers.js";
import type { Ncr53c710 } from "./chip.js";
import { selectByHand } from "./execute-io.js";
import { DmaFifo, ScsiFifo } from "./fifos.js";

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

/** Registers that a host cannot write. */
const readOnly: ReadonlySet<number> = new Set([
  ...[Reg.SFBR, Reg.SIDL, Reg.SBDL, Reg.DSTAT, Reg.SSTAT0, Reg.SSTAT1, Reg.SSTAT2, Reg.CTEST1, Reg.CTEST2, Reg.CTEST3],
  ...[Reg.ADDER, Reg.ADDER + 1, Reg.ADDER + 2, Reg.ADDER + 3],
]);

const sscf = 0x03;

export class RegisterAccess {
  readonly #chip: Ncr53c710;
  readonly #revision: number;
  readonly #dmaFifo = new DmaFifo();
  readonly #scsiFifo = new ScsiFifo();
  #dmaParity = false;
  #scsiParity = false;

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
    const { file, causes, port } = this.#chip;
    const stored = file.bytes[number];
    switch (number) {
      case Reg.SCNTL1:
        return stored | (port.isConnected ? Scntl1.Con : 0);
      case Reg.SOCL:
        return port.isConnected ? port.lines & (Lines.Ack | Lines.Atn) : stored;
      case Reg.SBDL:
        return this.#isLooped || (file.bytes[Reg.SCNTL1] & Scntl1.Adb) !== 0
          ? file.bytes[Reg.SODL]
          : file.bytes[Reg.SIDL];
      case Reg.SBCL:
        return this.#isLooped ? file.bytes[Reg.SOCL] : port.lines;
      case Reg.DSTAT:
        return this.#readDmaStatus();
      case Reg.SSTAT0:
        return causes.takeScsi();
      case Reg.SSTAT1:
        return (file.bytes[Reg.SCNTL1] & Scntl1.Rst) === 0 ? 0 : Sstat1.Rst;
      case Reg.SSTAT2:
        // The latch follows REQ.
        port.phase();
        return (this.#scsiFifo.count << 4) | port.latchedPhase;
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

  /** Writes as a host does. */
  write(number: number, value: number): void {
    if (!readOnly.has(number)) this.#write(number, value);
  }

  /** Writes as SCRIPTS do, who may write SFBR. */
  writeFromScripts(number: number, value: number): void {
    if (number === Reg.SFBR) this.#chip.file.bytes[number] = value;
    else if (number < registerFileSize) {
      this.write(number, value);
      if (number === Reg.DSP + 3) this.addressWritten();
    }
  }

  /** DSP has its last byte, which starts SCRIPTS. */
  addressWritten(): void {
    this.#chip.instructionAddressWritten();
  }

  get #isLooped(): boolean {
    return (this.#chip.file.bytes[Reg.CTEST4] & Ctest4.Slbe) !== 0;
  }

  #readDmaStatus(): number {
    const { file, causes } = this.#chip;
    const causesNow = causes.takeDma();
    // An abort that was not taken back latches again.
    if ((file.bytes[Reg.ISTAT] & Istat.Abrt) !== 0) causes.addDma(Dstat.Abrt);
    return causesNow | (this.#dmaFifo.isEmpty ? Dstat.Dfe : 0);
  }

  #readInterruptStatus(): number {
    const { file, causes, port } = this.#chip;
    const pending = (causes.isScsiPending ? Istat.Sip : 0) | (causes.isDmaPending ? Istat.Dip : 0);
    return file.bytes[Reg.ISTAT] | (port.isConnected ? Istat.Con : 0) | pending;
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
        if ((value & Scntl0.Start) !== 0) selectByHand(chip.engine);
        return;
      case Reg.SCNTL1:
        bytes[number] = value & mask;
        if (((before ^ value) & Scntl1.Rst) !== 0) chip.scsiResetWritten((value & Scntl1.Rst) !== 0);
        return;
      case Reg.SODL:
        bytes[number] = value;
        if ((bytes[Reg.CTEST4] & Ctest4.Sfwr) !== 0)
          this.#scsiFifo.push(value, (bytes[Reg.SCNTL1] & Scntl1.Aesp) !== 0);
        return;
      case Reg.SOCL:
        bytes[number] = value;
        this.#drive(value);
        return;
      case Reg.SBCL:
        bytes[number] = value & sscf;
        return;
      case Reg.SIEN:
      case Reg.DIEN:
        bytes[number] = value & mask;
        chip.causes.update();
        return;
      case Reg.CTEST5:
        bytes[number] = value & mask;
        if ((value & Ctest5.Adck) !== 0) chip.file.setLong(Reg.DNAD, (chip.file.long(Reg.DNAD) + 4) >>> 0);
        if ((value & Ctest5.Bbck) !== 0) chip.file.count -= 4;
        return;
      case Reg.CTEST6:
        if (this.#lane >= 0) this.#dmaFifo.push(this.#lane, value, (bytes[Reg.CTEST7] & Ctest7.Dfp) !== 0);
        return;
      case Reg.CTEST8:
        bytes[number] = value & (Ctest8.Flf | Ctest8.Fm | Ctest8.Sm);
        // What a flush would write to memory was never asked for by SCRIPTS here: both empty the FIFO.
        if ((value & (Ctest8.Flf | Ctest8.Clf)) !== 0) this.#dmaFifo.clear();
        if ((value & Ctest8.Clf) !== 0) this.#scsiFifo.clear();
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

  /** SOCL drives lines by hand: ATN and ACK mean something to a target that is connected. */
  #drive(value: number): void {
    const { port } = this.#chip;
    if (port.target === undefined) return;
    port.setAttention((value & Lines.Atn) !== 0);
    if ((value & Lines.Ack) === 0) port.releaseAck();
  }
}
