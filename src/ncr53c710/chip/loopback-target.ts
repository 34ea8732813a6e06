/**
 * Loopback (CTEST4.SLBE): the chip is off the bus, and its host plays the target by SOCL, SODL and SCNTL1.ADB. SCRIPTS
 * that select and move bytes wait for these hands.
 */
import { Lines } from "../registers.js";
import { busFree, noRequest, type WireTarget } from "./scsi-wire.js";

const phaseLines = Lines.Msg | Lines.Cd | Lines.Io;

/** The target that a host is. It answers any id, once the host asserts BSY. */
export class LoopbackTarget implements WireTarget {
  /** What SOCL drives. */
  #lines = 0;
  /** What SODL drives; 0 without ADB. */
  #data = 0;
  /** Id bits that the chip drives while it selects. */
  #ids = 0;
  /** The byte that the chip drives with its ACK. */
  #sent = 0;
  /** The byte of this REQ has moved: the chip asserts ACK until REQ falls. */
  #isAcknowledged = false;

  /** The host changed what it drives. */
  drive(lines: number, data: number): void {
    this.#lines = lines;
    this.#data = data;
    if ((lines & Lines.Req) !== 0) return;
    this.#isAcknowledged = false;
    this.#sent = 0;
  }

  /** The chip drives these id bits, or with 0 no more. */
  showIds(bits: number): void {
    this.#ids = bits;
  }

  /** Control lines that the chip drives by itself. */
  get control(): number {
    return (this.#ids !== 0 ? Lines.Sel : 0) | (this.#isAcknowledged ? Lines.Ack : 0);
  }

  /** Data lines, whoever drives them. */
  get data(): number {
    return this.#data | this.#ids | this.#sent;
  }

  selected(): boolean {
    return (this.#lines & Lines.Bsy) !== 0;
  }

  phase(): number {
    if ((this.#lines & Lines.Bsy) === 0) return busFree;
    return (this.#lines & Lines.Req) === 0 || this.#isAcknowledged ? noRequest : this.#lines & phaseLines;
  }

  receive(bytes: Uint8Array, at: number): number {
    bytes[at] = this.#data;
    this.#isAcknowledged = true;
    return 1;
  }

  send(bytes: Uint8Array, at: number): number {
    this.#sent = bytes[at];
    this.#isAcknowledged = true;
    return 1;
  }

  peek(): number {
    return this.#data;
  }

  // The host sees these by the lines alone.
  reselected(): void {}
  acknowledged(): void {}
  attention(): void {}
  abandoned(): void {}
  busReset(): void {}
}
