/** DSTAT and SSTAT0: what stopped SCRIPTS or wants to be known. Enables gate only the pin. */
import { dstatCauses, Reg, sstat0NonFatal } from "../registers.js";
import type { RegisterFile } from "./register-file.js";

export class InterruptCauses {
  readonly #file: RegisterFile;
  #dma = 0;
  #scsi = 0;
  #level = false;
  /** Told when the pin changes. */
  listener: ((level: boolean) => void) | undefined;

  constructor(file: RegisterFile) {
    this.#file = file;
  }

  /** The pin: level, true is asserted. */
  get level(): boolean {
    return this.#level;
  }

  /** Causes in DSTAT, without DFE. */
  get dma(): number {
    return this.#dma;
  }

  get scsi(): number {
    return this.#scsi;
  }

  /** ISTAT.DIP */
  get isDmaPending(): boolean {
    return this.#dma !== 0;
  }

  /** ISTAT.SIP: a fatal cause, or a non-fatal one that is enabled. */
  get isScsiPending(): boolean {
    const enabled = this.#file.bytes[Reg.SIEN];
    return (this.#scsi & (~sstat0NonFatal | enabled)) !== 0;
  }

  addDma(causes: number): void {
    this.#dma |= causes;
    this.update();
  }

  addScsi(causes: number): void {
    this.#scsi |= causes;
    this.update();
  }

  /** Reads and clears. */
  takeDma(): number {
    const causes = this.#dma;
    this.#dma = 0;
    this.update();
    return causes;
  }

  takeScsi(): number {
    const causes = this.#scsi;
    this.#scsi = 0;
    this.update();
    return causes;
  }

  clear(): void {
    this.#dma = 0;
    this.#scsi = 0;
    this.update();
  }

  /** To be called when an enable register changed. */
  update(): void {
    const { bytes } = this.#file;
    const level = (this.#dma & bytes[Reg.DIEN] & dstatCauses) !== 0 || (this.#scsi & bytes[Reg.SIEN]) !== 0;
    if (level === this.#level) return;
    this.#level = level;
    this.listener?.(level);
  }
}
