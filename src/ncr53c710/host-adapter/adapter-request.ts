/**
 * One command of the driver, kept and used again: its table, messages, CDB, answer and sense in memory that the chip
 * reaches, and the chain of its data.
 */
import type { DmaBlock, DmaMemory } from "../../memory/index.js";
import { describeCdb, lunOf, ScsiResponse, TaskAttribute, targetOf, type UnitAddress } from "../../scsi/index.js";
import { ExtendedMessage, Message } from "../target/messages.js";
import { cdbLengthOf } from "../target/target-command.js";
import type { AdapterCommand, AdapterRequestState } from "./contract.js";
import { DataChain } from "./data-chain.js";
import { tableOffset } from "./script-source.js";
import type { UnitState } from "./target-state.js";

/** Where things are in a request's slot, behind the table. */
const place = {
  messages: 0x50,
  reply: 0x60,
  cdb: 0x70,
  status: 0x90,
  message: 0x91,
  length: 0x92,
  senseCdb: 0x98,
  senseChain: 0xa0,
  sense: 0xc0,
  rest: 0x100,
  chain: 0x200,
} as const;

/** Bytes of sense data that are asked for. */
export const senseRoom = 64;
const cdbRoom = 32;
const usualMoves = 16;
const slotSize = place.chain + DataChain.size(usualMoves);
/** What no target sends as status. */
export const noStatus = 0xff;

/** Parts that all requests of a driver share. */
export interface RequestParts {
  readonly dma: DmaMemory;
  /** The script's label for chains that were moved to their end. */
  readonly moved: number;
  /** Memory for data that nobody wants, and zeros for targets that want more. */
  readonly sink: number;
  readonly source: number;
  readonly drainSize: number;
  /** Default of {@link AdapterCommand.timeout}. */
  readonly timeout: number;
}

export class AdapterRequest implements AdapterCommand {
  state: AdapterRequestState = "idle";
  address: UnitAddress = -1;
  attribute: number = TaskAttribute.Simple;
  timeout: number;
  onEnd: (() => void) | undefined;
  response: number = ScsiResponse.Ok;
  status = 0;
  residual = 0;
  senseLength = 0;
  error: Error | undefined;
  readonly sense: Uint8Array;
  readonly slot: DmaBlock;
  readonly data: DataChain;
  readonly #senseData: DataChain;
  readonly #parts: RequestParts;
  readonly #view: DataView;
  readonly #at: number;
  #large: DmaBlock | undefined;
  #cdbLength = 0;

  // How it is doing on the bus; the sequencer's
  /** The unit it is for, while it is under way. */
  unit: UnitState | undefined;
  /** -1 without. */
  tag = -1;
  /** It fetches the sense data of what it was. */
  isSensing = false;
  /** It is off the bus, and its target will come back. */
  isAway = false;
  /** SDTR was among the messages. */
  offeredSync = false;
  /** The target rejected SDTR or the queue tag: which of them will show. */
  wasRejected = false;
  /** The target began with SDTR in this connection. */
  heardOffer = false;
  /** The target had more data than there was room, or wanted more than there was. */
  hadExtra = false;
  /** A parity error was found in what came. */
  hadParityError = false;
  /** Set once it was called off. */
  calledOff: Error | undefined;
  /** When its time is up; 0 for never. */
  deadline = 0;
  /** Neighbour in a queue. */
  following: AdapterRequest | undefined;
  /** Neighbours among all that are under way. */
  older: AdapterRequest | undefined;
  younger: AdapterRequest | undefined;

  /** @throws RangeError when memory runs out. */
  constructor(parts: RequestParts) {
    const slot = parts.dma.allocate(slotSize, 16);
    this.slot = slot;
    this.timeout = parts.timeout;
    this.#parts = parts;
    this.#view = slot.region.view;
    this.#at = slot.offset;
    this.sense = slot.region.bytes.subarray(slot.offset + place.sense, slot.offset + place.sense + senseRoom);
    this.data = new DataChain(slot, slot.offset + place.chain, usualMoves, parts.moved);
    this.#senseData = new DataChain(slot, slot.offset + place.senseChain, 1, parts.moved);
    this.#senseData.add(slot.address + place.sense, senseRoom, false);
    this.#entry(tableOffset.messages, 1, slot.address + place.messages);
    this.#entry(tableOffset.status, 1, slot.address + place.status);
    this.#entry(tableOffset.message, 1, slot.address + place.message);
    this.#entry(tableOffset.length, 1, slot.address + place.length);
    this.#entry(tableOffset.rest, 3, slot.address + place.rest);
    this.#entry(tableOffset.sink, parts.drainSize, parts.sink);
    this.#entry(tableOffset.source, parts.drainSize, parts.source);
    this.#entry(tableOffset.reply, 1, slot.address + place.reply);
    this.setReply(Message.NoOperation);
  }

  /** Address of the table. */
  get table(): number {
    return this.slot.address;
  }

  get target(): number {
    return targetOf(this.address);
  }

  get lun(): number {
    return lunOf(this.address);
  }

  /** For messages: `target 0 lun 0: READ(10) …`. */
  describe(): string {
    const start = this.#at + place.cdb;
    const cdb = this.slot.region.bytes.subarray(start, start + this.#cdbLength);
    return `target ${this.target} lun ${this.lun}: ${describeCdb(cdb)}`;
  }

  /** The chain of what it does now: its data, or its sense data. */
  get chain(): DataChain {
    return this.isSensing ? this.#senseData : this.data;
  }

  setCdb(cdb: Uint8Array): void {
    if (cdb.length === 0 || cdb.length > cdbRoom) {
      throw new RangeError(`a CDB has 1 to ${cdbRoom} bytes, got ${cdb.length}`);
    }
    const start = this.#at + place.cdb;
    const { bytes } = this.slot.region;
    for (let index = 0; index < cdbRoom; index++) bytes[start + index] = index < cdb.length ? cdb[index] : 0;
    // Groups 3, 6 and 7 are vendors' and reserved: there the caller knows.
    const group = cdb[0] >> 5;
    const isOwn = group === 3 || group >= 6;
    this.#cdbLength = isOwn ? cdb.length : cdbLengthOf(cdb[0]);
  }

  pointAt(address: UnitAddress): void {
    const target = targetOf(address);
    const lun = lunOf(address);
    if (target > 7 || lun > 7) {
      throw new RangeError(`a SCSI-2 bus has targets and LUNs 0 to 7, got target ${target} LUN ${lun}`);
    }
    this.address = address;
  }

  clearData(): void {
    this.data.clear();
  }

  addOut(address: number, length: number): void {
    this.#add(address, length, true);
  }

  addIn(address: number, length: number): void {
    this.#add(address, length, false);
  }

  /** Readies table, CDB and chain for the bus. `device` is the longword of SELECT. */
  prepare(device: number): void {
    this.#view.setUint32(this.#at + tableOffset.device, device);
    const { address } = this.slot;
    if (this.isSensing) {
      const cdb = this.#at + place.senseCdb;
      this.#view.setUint32(cdb, 0x0300_0000 | (this.lun << 21));
      this.#view.setUint16(cdb + 4, senseRoom << 8);
      this.#entry(tableOffset.cdb, 6, address + place.senseCdb);
    } else {
      this.hadExtra = false;
      this.hadParityError = false;
      this.#entry(tableOffset.cdb, this.#cdbLength, address + place.cdb);
    }
    this.#view.setUint8(this.#at + place.status, noStatus);
    const isWritten = this.chain.begin();
    const large = this.#large;
    if (isWritten && large !== undefined) this.#parts.dma.toDevice?.(large.address, large.size);
    this.toDevice();
  }

  /** Sets the messages that go out first: their bytes by {@link putMessage}, then their number. */
  putMessage(index: number, byte: number): void {
    this.#view.setUint8(this.#at + place.messages + index, byte);
  }

  setMessages(count: number): void {
    this.#view.setUint32(this.#at + tableOffset.messages, count);
  }

  /** The message that is sent when the target asks for one. */
  setReply(message: number): void {
    this.#view.setUint32(this.#at + tableOffset.reply, 1);
    this.#view.setUint8(this.#at + place.reply, message);
  }

  /** The same with SDTR. */
  setReplySync(period: number, offset: number): void {
    const bytes = [Message.Extended, 3, ExtendedMessage.Synchronous, period, offset];
    this.#view.setUint32(this.#at + tableOffset.reply, bytes.length);
    this.slot.region.bytes.set(bytes, this.#at + place.reply);
  }

  /** Bytes of an extended message behind its length. */
  setRest(length: number): void {
    this.#view.setUint32(this.#at + tableOffset.rest, length);
  }

  get restLength(): number {
    return this.#view.getUint32(this.#at + tableOffset.rest);
  }

  /** A byte of an extended message behind its length. */
  rest(index: number): number {
    return this.#view.getUint8(this.#at + place.rest + index);
  }

  get lastStatus(): number {
    return this.#view.getUint8(this.#at + place.status);
  }

  get lastMessage(): number {
    return this.#view.getUint8(this.#at + place.message);
  }

  set lastMessage(byte: number) {
    this.#view.setUint8(this.#at + place.message, byte);
  }

  get lastLength(): number {
    return this.#view.getUint8(this.#at + place.length);
  }

  /** Shows the chip what was written to the slot. */
  toDevice(): void {
    this.#parts.dma.toDevice?.(this.slot.address, slotSize);
  }

  /** Fetches what the chip wrote there: status and messages, extended ones, sense data. */
  fromDevice(what: "answer" | "rest" | "sense"): void {
    const { dma } = this.#parts;
    if (dma.fromDevice === undefined) return;
    const { address } = this.slot;
    if (what === "answer") dma.fromDevice(address + place.status, 4);
    else if (what === "rest") dma.fromDevice(address + place.rest, 256);
    else dma.fromDevice(address + place.sense, senseRoom);
  }

  /** Shows the chip a chain of which a move was changed. */
  chainToDevice(): void {
    const { dma } = this.#parts;
    if (dma.toDevice === undefined) return;
    const large = this.isSensing ? undefined : this.#large;
    if (large !== undefined) dma.toDevice(large.address, large.size);
    this.toDevice();
  }

  /** Gives the memory back. */
  free(): void {
    const { dma } = this.#parts;
    dma.free(this.slot);
    if (this.#large !== undefined) dma.free(this.#large);
  }

  #add(address: number, length: number, isOut: boolean): void {
    const { data } = this;
    if (length === 0) return;
    if (data.total > 0 && data.isOut !== isOut) throw new RangeError("a command's data goes one way");
    const moves = data.count + DataChain.movesOf(length);
    if (moves > data.capacity) this.#grow(moves);
    data.add(address, length, isOut);
  }

  #grow(moves: number): void {
    const { dma } = this.#parts;
    const capacity = Math.max(moves, this.data.capacity * 2);
    const large = dma.allocate(DataChain.size(capacity), 16);
    if (this.#large !== undefined) dma.free(this.#large);
    this.#large = large;
    this.data.moveTo(large, capacity);
  }

  #entry(offset: number, count: number, address: number): void {
    this.#view.setUint32(this.#at + offset, count);
    this.#view.setUint32(this.#at + offset + 4, address);
  }
}
