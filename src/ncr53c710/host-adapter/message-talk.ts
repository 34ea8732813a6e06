/** Messages of both sides: what goes out with a command, what is said to those that come in (SCSI-2 §6.6). */
import { ExtendedMessage, Message } from "../target/messages.js";
import type { AdapterRequest } from "./adapter-request.js";
import type { ChipControl } from "./chip-control.js";
import type { AdapterScript } from "./script.js";
import { Vector } from "./script-source.js";
import { largestOffset, shortestPeriod } from "./sync-timing.js";
import type { TargetState, UnitState } from "./target-state.js";

/** Queue tag messages by task attribute. */
const tagMessages = [Message.SimpleTag, Message.OrderedTag, Message.HeadOfQueueTag] as const;
const mayDisconnect = 0x40;
const sdtrLength = 5;

/** What talking needs. */
export interface TalkParts {
  readonly chip: ChipControl;
  readonly script: AdapterScript;
  readonly disconnect: boolean;
  readonly synchronous: boolean;
}

export class MessageTalk {
  readonly #parts: TalkParts;
  readonly #counters: { messages: number };

  constructor(parts: TalkParts, counters: { messages: number }) {
    this.#parts = parts;
    this.#counters = counters;
  }

  /** Sets what is sent to the target before the command: IDENTIFY, a queue tag, SDTR where it is due. */
  greet(request: AdapterRequest, { target, lun }: UnitState): void {
    const permission = this.#parts.disconnect && !request.isSensing ? mayDisconnect : 0;
    request.putMessage(0, Message.Identify | permission | lun);
    let count = 1;
    if (request.tag >= 0) {
      request.putMessage(count++, tagMessages[request.attribute] ?? Message.SimpleTag);
      request.putMessage(count++, request.tag);
    }
    request.offeredSync = target.negotiation === "due";
    if (request.offeredSync) {
      target.negotiation = "offered";
      request.putMessage(count++, Message.Extended);
      request.putMessage(count++, 3);
      request.putMessage(count++, ExtendedMessage.Synchronous);
      request.putMessage(count++, shortestPeriod);
      request.putMessage(count++, largestOffset);
    }
    request.wasRejected = false;
    request.heardOffer = false;
    request.setMessages(count);
    request.setReply(Message.NoOperation);
  }

  /** The target was not selected after all. */
  unsaid(request: AdapterRequest, { target }: UnitState): void {
    if (request.offeredSync && target.negotiation === "offered") target.negotiation = "due";
    request.offeredSync = false;
  }

  /** The target took all messages but the last `unsent` bytes. */
  cut(request: AdapterRequest, unit: UnitState, unsent: number): void {
    if (unsent >= sdtrLength) this.unsaid(request, unit);
  }

  /** The command leaves the bus or is over: a target that did not answer SDTR until now has no synchronous transfers. */
  over(request: AdapterRequest, { target }: UnitState): void {
    if (request.offeredSync && target.negotiation === "offered") target.agree(undefined);
    request.offeredSync = false;
  }

  /** A message came: answers it and goes on. */
  heard(request: AdapterRequest, unit: UnitState, vector: number): void {
    this.#counters.messages++;
    request.fromDevice("answer");
    if (vector === Vector.Message) this.#heardShort(request, unit, request.lastMessage);
    else if (vector === Vector.ExtendedLength) {
      request.setRest(request.lastLength === 0 ? 256 : request.lastLength);
      request.toDevice();
      this.#parts.chip.start(this.#parts.script.entries.rest);
    } else {
      request.fromDevice("rest");
      this.#heardExtended(request, unit);
    }
  }

  #heardShort(request: AdapterRequest, unit: UnitState, message: number): void {
    const { chip, script } = this.#parts;
    switch (message) {
      case Message.Reject:
        this.#rejected(request, unit);
        chip.start(script.entries.accept);
        return;
      case Message.RestorePointers:
        request.chain.restore();
        request.hadParityError = false;
        request.chainToDevice();
        chip.pointChain(request.chain.next);
        chip.start(script.entries.accept);
        return;
      case Message.NoOperation:
        chip.start(script.entries.accept);
        return;
      case Message.ParityError:
        chip.start(script.entries.repeat);
        return;
      default:
        this.#refuse(request, Message.Reject);
    }
  }

  /** Something was not understood: the tag, or SDTR. With both an answer to SDTR will tell. */
  #rejected(request: AdapterRequest, unit: UnitState): void {
    const isUnclear = request.offeredSync && request.tag >= 0 && !request.wasRejected;
    if (isUnclear) {
      request.wasRejected = true;
      return;
    }
    if (request.tag >= 0 && (!request.offeredSync || request.wasRejected)) unit.untag(request);
    if (request.offeredSync) this.#settle(unit.target, undefined);
    request.offeredSync = false;
  }

  #heardExtended(request: AdapterRequest, unit: UnitState): void {
    const { target } = unit;
    const length = request.restLength;
    request.setRest(3);
    if (length !== 3 || request.rest(0) !== ExtendedMessage.Synchronous) {
      this.#refuse(request, Message.Reject);
      return;
    }
    const period = request.rest(1);
    const offset = request.rest(2);
    if (request.offeredSync) {
      if (request.wasRejected) unit.untag(request);
      this.#heardAnswer(request, target, period, offset);
    } else if (request.heardOffer) this.#refuse(request, Message.Reject);
    else this.#heardOffer(request, target, period, offset);
  }

  /** The answer to our SDTR counts, unless it is more than was offered, or slower than the chip can go. */
  #heardAnswer(request: AdapterRequest, target: TargetState, period: number, offset: number): void {
    const { chip, script } = this.#parts;
    request.offeredSync = false;
    request.heardOffer = true;
    const isFair = offset <= largestOffset && (offset === 0 || period >= shortestPeriod);
    const isSettled = isFair && this.#settle(target, offset === 0 ? undefined : { period, offset });
    if (!isSettled) this.#settle(target, undefined);
    if (isSettled) chip.start(script.entries.accept);
    else this.#refuse(request, Message.Reject);
  }

  /** The target began: it gets what both can do. */
  #heardOffer(request: AdapterRequest, target: TargetState, period: number, offset: number): void {
    request.heardOffer = true;
    const ours = { period: Math.max(period, shortestPeriod), offset: Math.min(offset, largestOffset) };
    const isWanted = this.#parts.synchronous && ours.offset > 0;
    const isSettled = isWanted && this.#settle(target, ours);
    if (!isSettled) this.#settle(target, undefined);
    request.setReplySync(ours.period, isSettled ? ours.offset : 0);
    this.#sayReply(request);
  }

  #settle(target: TargetState, agreement: { period: number; offset: number } | undefined): boolean {
    const isPossible = target.agree(agreement);
    this.#parts.chip.time(target.timing, false);
    return isPossible;
  }

  #refuse(request: AdapterRequest, message: number): void {
    request.setReply(message);
    this.#sayReply(request);
  }

  /** Asks for the word with ATN. */
  #sayReply(request: AdapterRequest): void {
    request.toDevice();
    this.#parts.chip.start(this.#parts.script.entries.refuse);
  }
}
