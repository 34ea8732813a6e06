/** What a target does with the messages of an initiator (SCSI-2 §6.6): byte by byte, with parity, one nexus at a time. */
import { wireIds } from "../chip/scsi-wire.js";
import { Message, MessageReader } from "./messages.js";
import { type Agreement, negotiate } from "./negotiation.js";
import type { OutgoingMessages } from "./outgoing-messages.js";
import type { TargetCommand } from "./target-command.js";
import type { TargetOptions } from "./target-options.js";

/** Answers that wait while the initiator keeps on talking. */
const outgoingLimit = 16;
/** How often an initiator is asked to send a message phase again before the target leaves the bus. */
const repeats = 3;

/** The target, as its messages need it. Each of these but `failed` ends the nexus. */
export interface MessageHost {
  /** ABORT, ABORT TAG or CLEAR QUEUE. */
  abort(command: TargetCommand, message: number): void;
  /** BUS DEVICE RESET. */
  reset(): void;
  /** Lets go of the bus without a word. */
  drop(): void;
  /** INITIATOR DETECTED ERROR: the command is to be repeated or to fail. */
  failed(command: TargetCommand): void;
}

export class IncomingMessages {
  /** What was last agreed on with each initiator: SXFER's offset, and the period in 4 ns. Undefined is asynchronous. */
  readonly agreements: Agreement[] = new Array(wireIds).fill(undefined);
  readonly #options: TargetOptions;
  readonly #outgoing: OutgoingMessages;
  readonly #host: MessageHost;
  readonly #reader = new MessageReader();
  /** Messages that were waiting for the initiator when its message phase began. */
  #waiting = 0;
  /** Bytes taken in this message phase. */
  #taken = 0;
  #isSpoiled = false;
  #spoiledPhases = 0;
  /** IDENTIFY came: the unit is not in the CDB. */
  isIdentified = false;
  /** MESSAGE REJECT came for the message that was being sent. */
  wasRejected = false;

  constructor(options: TargetOptions, outgoing: OutgoingMessages, host: MessageHost) {
    this.#options = options;
    this.#outgoing = outgoing;
    this.#host = host;
  }

  /** A nexus begins. */
  begin(isIdentified: boolean): void {
    this.isIdentified = isIdentified;
    this.#spoiledPhases = 0;
    this.wasRejected = false;
    this.beginPhase();
  }

  /** A message phase begins. */
  beginPhase(): void {
    this.#reader.clear();
    this.#taken = 0;
    this.#isSpoiled = false;
    this.#waiting = this.#outgoing.count;
  }

  /**
   * ATN has gone: whether the phase ends with it. It does not before its first byte, for which REQ stands already, nor
   * in the middle of a message. After bytes with wrong parity the target asks for all of them again, by staying in
   * MESSAGE OUT (SCSI-2 §6.6.1), or leaves the bus when it has asked often enough.
   */
  endsWithAttention(): boolean {
    if (!this.#isSpoiled) return this.#taken > 0 && this.#reader.length === 0;
    this.#outgoing.keep(this.#waiting);
    this.beginPhase();
    if (++this.#spoiledPhases > repeats) this.#host.drop();
    return false;
  }

  /**
   * Takes a byte. "more" when the message phase goes on, "over" when the target may choose another phase, "gone" when
   * the nexus ended.
   */
  take(command: TargetCommand, byte: number, parityWrong: boolean, attention: boolean): "more" | "over" | "gone" {
    this.#taken++;
    // Nothing is obeyed from here on; the end of the phase asks for it again.
    if (parityWrong) this.#isSpoiled = true;
    if (this.#isSpoiled) return "more";
    const isWhole = this.#reader.take(byte);
    if (!isWhole) {
      // ATN has gone in the middle of a message: that message makes no sense.
      if (attention) return "more";
      this.#reader.clear();
      this.#outgoing.add([Message.Reject]);
      return "over";
    }
    const { bytes, length } = this.#reader;
    this.#reader.clear();
    if (!this.#obey(command, bytes, length)) return "gone";
    // An initiator that only talks is left alone.
    if (this.#outgoing.count > outgoingLimit) {
      this.#host.drop();
      return "gone";
    }
    return attention ? "more" : "over";
  }

  /** Does what a message says. False when the nexus ended by it. */
  #obey(command: TargetCommand, bytes: Uint8Array, length: number): boolean {
    const first = bytes[0];
    if (first >= Message.Identify) return this.#identify(command, first);
    switch (first) {
      case Message.Abort:
      case Message.AbortTag:
      case Message.ClearQueue:
        this.#host.abort(command, first);
        return false;
      case Message.BusDeviceReset:
        this.#host.reset();
        return false;
      case Message.SimpleTag:
      case Message.HeadOfQueueTag:
      case Message.OrderedTag:
        command.tag = bytes[1];
        command.task.attribute = first === Message.SimpleTag ? 0 : first === Message.OrderedTag ? 1 : 2;
        return true;
      case Message.Reject:
        this.#rejected(command);
        return true;
      case Message.ParityError:
        return this.#repeatMessage();
      case Message.InitiatorDetectedError:
        this.#host.failed(command);
        return true;
      case Message.NoOperation:
        return true;
      case Message.Extended:
        this.#outgoing.add(
          negotiate(bytes, length, this.#options, (agreement) => {
            this.agreements[command.initiator] = agreement;
          }),
        );
        return true;
      default:
        this.#outgoing.add([Message.Reject]);
        return true;
    }
  }

  #identify(command: TargetCommand, first: number): boolean {
    // LUNTAR: a target routine, which there is none of.
    if ((first & 0x20) !== 0) {
      this.#outgoing.add([Message.Reject]);
      return true;
    }
    this.isIdentified = true;
    command.mayDisconnect = (first & 0x40) !== 0;
    if (command.stage === "command") command.lun = first & 7;
    return true;
  }

  /** MESSAGE REJECT is for a message that is being sent; at any other time it is rejected itself (§6.6.14). */
  #rejected(command: TargetCommand): void {
    if (!this.#outgoing.isUnderWay) {
      this.#outgoing.add([Message.Reject]);
      return;
    }
    this.wasRejected = true;
    if (this.#outgoing.startsWith(Message.Extended)) this.agreements[command.initiator] = undefined;
  }

  /** MESSAGE PARITY ERROR: sends the message once more. At any other time the target leaves the bus (§6.6.13). */
  #repeatMessage(): boolean {
    if (this.#outgoing.isUnderWay) {
      this.#outgoing.rewind();
      return true;
    }
    this.#host.drop();
    return false;
  }
}
