/**
 * A target of a {@link ScsiBus} on the wire: phases, messages, disconnection. Its logical units are those that
 * virtio-scsi has. Initiators are hostile: whatever they send ends in a status, a rejected message or a free bus.
 */
import type { PageViews } from "../../memory/index.js";
import type { ScsiBus } from "../../scsi/index.js";
import { busFree, noRequest, type ScsiWire, type WireTarget, wireIds } from "../chip/scsi-wire.js";
import { Phase } from "../registers.js";
import { CommandCarrier } from "./command-carrier.js";
import { commandComplete, Message, MessageReader } from "./messages.js";
import { type Agreement, negotiate } from "./negotiation.js";
import { type Consequence, OutgoingMessages } from "./outgoing-messages.js";
import { cdbLengthOf, stagePhase, TargetCommand } from "./target-command.js";
import type { TargetOptions } from "./target-options.js";
import { WaitingCommands } from "./waiting-commands.js";

const pooledCommands = 8;
/** Answers that wait while the initiator keeps on talking. */
const outgoingLimit = 16;

/** One id on the wire; it answers while its bus has units for it. */
export class ScsiPhaseTarget implements WireTarget {
  readonly id: number;
  /** What was last agreed on with each initiator: SXFER's offset, and the period in 4 ns. Undefined is asynchronous. */
  readonly agreements: Agreement[] = new Array(wireIds).fill(undefined);
  readonly #wire: ScsiWire;
  readonly #bus: ScsiBus;
  readonly #options: TargetOptions;
  readonly #carrier: CommandCarrier;
  readonly #reader = new MessageReader();
  readonly #waiting = new WaitingCommands();
  readonly #pool: TargetCommand[] = [];
  readonly #outgoing = new OutgoingMessages();
  #attention = false;
  #wasRejected = false;
  #phase: number = busFree;
  /** The command of the nexus that is connected. */
  #current: TargetCommand | undefined;
  #identified = false;
  /** Data moved since the last (re)connection. */
  #movedHere = 0;

  /** @throws RangeError when an option is out of range. */
  constructor(wire: ScsiWire, id: number, bus: ScsiBus, options: TargetOptions = {}) {
    const { disconnectEvery = 1 } = options;
    if (!Number.isInteger(disconnectEvery) || disconnectEvery < 1) {
      throw new RangeError(`disconnectEvery is a whole number of bytes, got ${disconnectEvery}`);
    }
    this.id = id;
    this.#wire = wire;
    this.#bus = bus;
    this.#options = options;
    this.#carrier = new CommandCarrier(id, bus, options, {
      away: this.#waiting.away,
      proceed: () => this.#proceed(),
      goAway: (command) => this.#goAway(command),
      comeBack: (command) => this.#comeBack(command),
      drop: () => this.#drop(),
    });
  }

  /** Commands that wait off the bus. */
  get commandsAway(): number {
    return this.#waiting.away.size;
  }

  phase(): number {
    // ATN has gone: what was said is all. Not told by the change itself, since ATN falls before the last byte.
    const isOver = this.#phase === Phase.MessageOut && !this.#attention && this.#reader.length === 0;
    if (isOver) this.#proceed();
    return this.#phase;
  }

  selected(initiator: number, attention: boolean): boolean {
    if (this.#bus.target(this.id) === undefined || this.#phase !== busFree) return false;
    this.#wire.cancelReselection(this.id);
    const command = this.#pool.pop() ?? new TargetCommand();
    command.begin(initiator);
    this.#current = command;
    this.#identified = false;
    this.#attention = attention;
    this.#reader.clear();
    this.#outgoing.clear();
    this.#movedHere = 0;
    this.#phase = attention ? Phase.MessageOut : Phase.Command;
    return true;
  }

  reselected(): void {
    const command = this.#waiting.takeReady();
    if (command === undefined) {
      this.#phase = busFree;
      return;
    }
    this.#current = command;
    this.#identified = true;
    this.#attention = false;
    this.#reader.clear();
    this.#movedHere = 0;
    this.#outgoing.clear();
    this.#outgoing.add([Message.Identify | command.lun]);
    if (command.tag >= 0) this.#outgoing.add([Message.SimpleTag, command.tag]);
    this.#proceed();
  }

  receive(bytes: Uint8Array, at: number, length: number): number {
    const command = this.#current;
    if (command === undefined || length === 0) return 0;
    switch (this.#phase) {
      case Phase.MessageIn: {
        bytes[at] = this.#outgoing.sendByte();
        this.#phase = noRequest;
        return 1;
      }
      case Phase.Status:
        bytes[at] = command.task.status;
        command.stage = "complete";
        this.#outgoing.add(commandComplete, "finish");
        this.#proceed();
        return 1;
      case Phase.DataIn: {
        const step = this.#step(command, length);
        command.pages.copyTo(command.position, bytes, at, step);
        this.#moved(command, step);
        return step;
      }
      default:
        return 0;
    }
  }

  send(bytes: Uint8Array, at: number, length: number, pages?: PageViews): number {
    const command = this.#current;
    if (command === undefined || length === 0) return 0;
    switch (this.#phase) {
      case Phase.MessageOut:
        this.#takeMessageByte(command, bytes[at]);
        return 1;
      case Phase.Command: {
        command.task.cdb[command.cdbLength++] = bytes[at];
        if (command.cdbLength === cdbLengthOf(command.task.cdb[0])) this.#carrier.start(command, this.#identified);
        return 1;
      }
      case Phase.DataOut: {
        const step = this.#step(command, length);
        if (pages !== undefined) pages.copyTo(at, command.data, command.position, step);
        else command.data.set(bytes.subarray(at, at + step), command.position);
        this.#moved(command, step);
        return step;
      }
      default:
        return 0;
    }
  }

  acknowledged(): void {
    const outgoing = this.#outgoing;
    if (!outgoing.awaitsAck) return;
    outgoing.awaitsAck = false;
    const { isWhole, consequence } = outgoing;
    // An initiator that asserts ATN has something to say about the message; what is left of it is dropped.
    if (this.#attention && !isWhole) outgoing.drop();
    else if (isWhole && !this.#attention) {
      outgoing.drop();
      this.#follow(consequence);
      return;
    }
    this.#proceed();
  }

  attention(asserted: boolean): void {
    this.#attention = asserted;
  }

  abandoned(): void {
    this.#drop();
    this.#askForOthers();
  }

  busReset(): void {
    this.abortAll();
    this.#carrier.sense.clear();
    this.agreements.fill(undefined);
    this.#bus.reset("bus-reset", { target: this.id });
  }

  /** Ends every command without an answer and leaves the bus. */
  abortAll(): void {
    this.#waiting.abort(() => true);
    this.#wire.cancelReselection(this.id);
    this.#drop();
  }

  /** Lets commands that stay away come back, see {@link TargetOptions.staysAway}. */
  returnToBus(): void {
    if (this.#waiting.hasReady) this.#wire.requestReselection(this.id);
  }

  #drop(): void {
    if (this.#current !== undefined) this.#current.isAborted = true;
    this.#forgetNexus();
  }

  #forgetNexus(): void {
    this.#current = undefined;
    this.#outgoing.clear();
    this.#attention = false;
    this.#wasRejected = false;
    this.#phase = busFree;
  }

  /** Does what follows a message that was taken. */
  #follow(consequence: Consequence): void {
    if (consequence === "leave") this.#leave();
    else if (consequence === "finish") this.#finish();
    else this.#proceed();
  }

  /** Chooses what the bus shows next. */
  #proceed(): void {
    const command = this.#current;
    if (command === undefined) return;
    if (this.#attention) {
      this.#reader.clear();
      this.#phase = Phase.MessageOut;
      return;
    }
    const outgoing = this.#outgoing;
    // A message that was taken whole before ATN interrupted: what follows it is due, unless it was rejected.
    if (!outgoing.isEmpty && outgoing.isWhole) {
      const isVoid = this.#wasRejected && outgoing.consequence === "leave";
      const { consequence } = outgoing;
      outgoing.drop();
      this.#wasRejected = false;
      this.#follow(isVoid ? "continue" : consequence);
      return;
    }
    this.#wasRejected = false;
    this.#phase = outgoing.isEmpty ? stagePhase(command) : Phase.MessageIn;
  }

  #takeMessageByte(command: TargetCommand, byte: number): void {
    const isWhole = this.#reader.take(byte);
    if (!isWhole) {
      // ATN has gone in the middle of a message: that message makes no sense.
      if (this.#attention) return;
      this.#reader.clear();
      this.#outgoing.add([Message.Reject]);
      this.#proceed();
      return;
    }
    const { bytes, length } = this.#reader;
    this.#reader.clear();
    if (!this.#obey(command, bytes, length)) return;
    // An initiator that only talks is left alone.
    if (this.#outgoing.count > outgoingLimit) this.#drop();
    else if (!this.#attention) this.#proceed();
  }

  /** Does what a message says. False when the nexus ended by it. */
  #obey(command: TargetCommand, bytes: Uint8Array, length: number): boolean {
    const [first] = bytes;
    if (first >= Message.Identify) return this.#identify(command, first);
    switch (first) {
      case Message.Abort:
      case Message.AbortTag:
      case Message.ClearQueue:
        this.#abort(command, first);
        return false;
      case Message.BusDeviceReset:
        this.abortAll();
        this.#carrier.sense.clear();
        this.agreements.fill(undefined);
        this.#bus.reset("unit-reset", { target: this.id });
        return false;
      case Message.SimpleTag:
      case Message.HeadOfQueueTag:
      case Message.OrderedTag:
        command.tag = bytes[1];
        command.task.attribute = first === Message.SimpleTag ? 0 : first === Message.OrderedTag ? 1 : 2;
        return true;
      case Message.Reject:
        this.#wasRejected = true;
        if (this.#outgoing.startsWith(Message.Extended)) this.agreements[command.initiator] = undefined;
        return true;
      case Message.ParityError:
        // The message is sent once more.
        this.#outgoing.rewind();
        return true;
      case Message.InitiatorDetectedError:
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
    this.#identified = true;
    command.mayDisconnect = (first & 0x40) !== 0;
    if (command.stage === "command") command.lun = first & 7;
    return true;
  }

  #abort(command: TargetCommand, message: number): void {
    this.#waiting.abort(({ initiator, lun, tag }) => {
      if (lun !== command.lun || (initiator !== command.initiator && message !== Message.ClearQueue)) return false;
      return message !== Message.AbortTag || tag === command.tag;
    });
    this.#drop();
    if (this.#waiting.hasReady) this.#askForOthers();
    else this.#wire.cancelReselection(this.id);
  }

  /** A command that waited goes on: on the bus if it is there, else by reselection. */
  #comeBack(command: TargetCommand): void {
    if (this.#current === command) {
      // DISCONNECT may be on its way: then it leaves first and comes back.
      if (this.#outgoing.isEmpty && !this.#outgoing.awaitsAck) this.#proceed();
      this.#wire.changed();
      return;
    }
    this.#makeReady(command);
  }

  #makeReady(command: TargetCommand): void {
    this.#waiting.makeReady(command);
    if (this.#options.staysAway !== true) this.#wire.requestReselection(this.id);
  }

  /** Sends DISCONNECT although there is nothing to wait for. */
  #goAway(command: TargetCommand): void {
    if (command.position > 0 && (this.#options.savesPointers ?? true)) this.#outgoing.add([Message.SaveDataPointer]);
    this.#outgoing.add([Message.Disconnect], "leave");
    this.#proceed();
  }

  /** DISCONNECT was taken. */
  #leave(): void {
    const command = this.#current;
    this.#forgetNexus();
    if (command === undefined) return;
    this.#waiting.away.add(command);
    if (command.stage !== "executing") this.#makeReady(command);
    this.#askForOthers();
    this.#wire.changed();
  }

  /** Commands that were ready while another one had the target. */
  #askForOthers(): void {
    if (this.#waiting.hasReady && this.#options.staysAway !== true) this.#wire.requestReselection(this.id);
  }

  /** COMMAND COMPLETE was taken. */
  #finish(): void {
    const command = this.#current;
    this.#forgetNexus();
    if (command !== undefined && this.#pool.length < pooledCommands) this.#pool.push(command);
    this.#askForOthers();
  }

  /** Bytes of data to move now. */
  #step(command: TargetCommand, length: number): number {
    const every = this.#options.disconnectEvery;
    const left = Math.min(length, command.total - command.position);
    if (every === undefined || !command.mayDisconnect) return left;
    return Math.min(left, every - this.#movedHere);
  }

  #moved(command: TargetCommand, step: number): void {
    command.position += step;
    this.#movedHere += step;
    const { disconnectEvery } = this.#options;
    if (command.position < command.total) {
      if (command.mayDisconnect && disconnectEvery !== undefined && this.#movedHere >= disconnectEvery) {
        this.#goAway(command);
      }
      return;
    }
    if (command.stage === "data-in") {
      command.stage = "status";
      this.#proceed();
    } else this.#carrier.dataTaken(command);
  }
}
