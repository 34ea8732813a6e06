/**
 * A target of a {@link ScsiBus} on the wire: phases, messages, disconnection. Its logical units are those that
 * virtio-scsi has. Initiators are hostile: whatever they send ends in a status, a rejected message or a free bus.
 */
import type { PageViews } from "../../memory/index.js";
import type { ScsiBus } from "../../scsi/index.js";
import { busFree, noRequest, type ScsiWire, type WireTarget } from "../chip/scsi-wire.js";
import { Phase } from "../registers.js";
import { BusError, CommandCarrier } from "./command-carrier.js";
import { DataPhase } from "./data-phase.js";
import { IncomingMessages } from "./incoming-messages.js";
import { commandComplete, identifyMessages, Message, simpleTagMessages } from "./messages.js";
import type { Agreement } from "./negotiation.js";
import { type Consequence, OutgoingMessages } from "./outgoing-messages.js";
import { cdbLengthOf, stagePhase, TargetCommand } from "./target-command.js";
import type { TargetOptions } from "./target-options.js";
import { WaitingCommands } from "./waiting-commands.js";

/** Commands that are kept for the next ones; those that have little memory even if there are more. */
const pooledCommands = 8;
const pooledSmallCommands = 64;
const smallRoom = 64 << 10;
/** Messages before a target leaves the bus, or repeats data: kept, so that they allocate nothing. */
const savePointers: readonly number[] = [Message.SaveDataPointer];
const disconnect: readonly number[] = [Message.Disconnect];
const restorePointers: readonly number[] = [Message.RestorePointers];

/** One id on the wire; it answers while its bus has units for it. */
export class ScsiPhaseTarget implements WireTarget {
  readonly id: number;
  readonly #wire: ScsiWire;
  readonly #bus: ScsiBus;
  readonly #options: TargetOptions;
  readonly #carrier: CommandCarrier;
  readonly #waiting: WaitingCommands;
  readonly #data: DataPhase;
  readonly #pool: TargetCommand[] = [];
  readonly #outgoing = new OutgoingMessages();
  readonly #incoming: IncomingMessages;
  #attention = false;
  /** What comes next has wrong parity. */
  #parityWrong = false;
  #phase: number = busFree;
  /** The command of the nexus that is connected. */
  #current: TargetCommand | undefined;

  /** @throws RangeError when an option is out of range. */
  constructor(wire: ScsiWire, id: number, bus: ScsiBus, options: TargetOptions = {}) {
    this.id = id;
    this.#wire = wire;
    this.#bus = bus;
    this.#options = options;
    this.#data = new DataPhase(options);
    this.#waiting = new WaitingCommands({
      ...{ wire, id, staysAway: options.staysAway ?? false },
      isSuspended: ({ initiator, lun }) => this.#carrier.sense.isKept(initiator, lun),
    });
    this.#carrier = new CommandCarrier(id, bus, options, {
      away: this.#waiting,
      proceed: () => this.#proceed(),
      goAway: (command) => this.#goAway(command),
      comeBack: (command) => this.#comeBack(command),
      drop: () => this.#drop(),
    });
    this.#incoming = new IncomingMessages(options, this.#outgoing, {
      abort: (command, message) => this.#abort(command, message),
      reset: () => this.#reset(),
      drop: () => this.#drop(),
      failed: (command) => this.#failed(command, BusError.InitiatorDetected),
    });
  }

  /** What was last agreed on with each initiator: SXFER's offset, and the period in 4 ns. Undefined is asynchronous. */
  get agreements(): readonly Agreement[] {
    return this.#incoming.agreements;
  }

  /** Commands that wait off the bus. */
  get commandsAway(): number {
    return this.#waiting.count;
  }

  phase(): number {
    // ATN has gone: what was said is all. Not told by the change itself, since ATN falls before the last byte.
    if (this.#phase === Phase.MessageOut && !this.#attention && this.#incoming.endsWithAttention()) this.#proceed();
    return this.#phase;
  }

  selected(initiator: number, attention: boolean): boolean {
    if (this.#bus.target(this.id) === undefined || this.#phase !== busFree) return false;
    this.#wire.cancelReselection(this.id);
    const command = this.#pool.pop() ?? new TargetCommand();
    command.begin(initiator);
    this.#current = command;
    this.#attention = attention;
    this.#parityWrong = false;
    this.#outgoing.clear();
    this.#incoming.begin(false);
    this.#data.connected();
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
    this.#attention = false;
    this.#parityWrong = false;
    this.#data.connected();
    this.#outgoing.clear();
    this.#incoming.begin(true);
    this.#outgoing.add(identifyMessages[command.lun]);
    if (command.tag >= 0) this.#outgoing.add(simpleTagMessages[command.tag]);
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
        this.#carrier.returned(command);
        this.#outgoing.add(commandComplete, "finish");
        this.#proceed();
        return 1;
      case Phase.DataIn: {
        const step = this.#data.step(command, length);
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
    const parityWrong = this.#parityWrong;
    this.#parityWrong = false;
    switch (this.#phase) {
      case Phase.MessageOut:
        if (this.#incoming.take(command, bytes[at], parityWrong, this.#attention) === "over") this.#proceed();
        return 1;
      case Phase.Command:
        if (parityWrong) command.busError = BusError.Parity;
        return this.#takeCommand(command, bytes, at, length);
      case Phase.DataOut: {
        if (parityWrong) command.busError = BusError.Parity;
        const step = this.#data.step(command, length);
        if (pages !== undefined) pages.copyTo(at, command.data, command.position, step);
        else command.data.set(bytes.subarray(at, at + step), command.position);
        this.#moved(command, step);
        return step;
      }
      default:
        return 0;
    }
  }

  peek(): number {
    const command = this.#current;
    if (command === undefined) return 0;
    if (this.#phase === Phase.MessageIn) return this.#outgoing.nextByte;
    if (this.#phase === Phase.Status) return command.task.status;
    return this.#phase === Phase.DataIn ? command.data[command.position] : 0;
  }

  parityWrong(): void {
    this.#parityWrong = true;
  }

  acknowledged(): void {
    const outgoing = this.#outgoing;
    if (!outgoing.awaitsAck) return;
    outgoing.awaitsAck = false;
    const { isWhole, consequence } = outgoing;
    // An initiator that asserts ATN has something to say about the message.
    if (this.#attention && !isWhole) outgoing.cut();
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
  }

  busReset(): void {
    this.abortAll();
    this.#carrier.sense.clear();
    this.#incoming.agreements.fill(undefined);
    this.#bus.reset("bus-reset", { target: this.id });
  }

  /** Ends every command without an answer and leaves the bus. */
  abortAll(): void {
    this.#waiting.abort(() => true);
    this.#drop();
  }

  /** Lets commands that stay away come back, see {@link TargetOptions.staysAway}. */
  returnToBus(): void {
    this.#waiting.askForBus(true);
  }

  #drop(): void {
    this.#current?.abort();
    this.#forgetNexus();
    this.#waiting.askForBus();
  }

  #forgetNexus(): void {
    this.#current = undefined;
    this.#outgoing.clear();
    this.#attention = false;
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
      if (this.#phase !== Phase.MessageOut) this.#incoming.beginPhase();
      this.#phase = Phase.MessageOut;
      return;
    }
    const outgoing = this.#outgoing;
    const incoming = this.#incoming;
    if (outgoing.isCut) outgoing.drop();
    // A message that was taken whole before ATN interrupted: what follows it is due, unless it was rejected.
    if (!outgoing.isEmpty && outgoing.isWhole) {
      const isVoid = incoming.wasRejected && outgoing.consequence === "leave";
      const { consequence } = outgoing;
      outgoing.drop();
      incoming.wasRejected = false;
      this.#follow(isVoid ? "continue" : consequence);
      return;
    }
    incoming.wasRejected = false;
    this.#phase = outgoing.isEmpty ? stagePhase(command) : Phase.MessageIn;
  }

  /** BUS DEVICE RESET. */
  #reset(): void {
    this.abortAll();
    this.#carrier.sense.clear();
    this.#incoming.agreements.fill(undefined);
    this.#bus.reset("unit-reset", { target: this.id });
  }

  /** An error on the bus: the data is repeated as often as the options say, then the command ends with it. */
  #failed(command: TargetCommand, code: number): void {
    const { repeatsAfterError = 0 } = this.#options;
    const hasGiven = command.stage === "status" && command.total > 0 && command.task.expectedOut === 0;
    if (hasGiven) command.stage = "data-in";
    const hasData = command.stage === "data-in" || command.stage === "data-out";
    if (hasData && command.repeats < repeatsAfterError) {
      command.repeats++;
      command.busError = undefined;
      command.position = command.savedPosition;
      this.#outgoing.add(restorePointers);
      return;
    }
    // COMMAND COMPLETE is not due any more: another status comes before it.
    if (command.stage === "complete") this.#outgoing.clear();
    this.#carrier.failOnBus(command, code);
  }

  /** Takes what there is of the CDB, up to its end; returns how many bytes. */
  #takeCommand(command: TargetCommand, bytes: Uint8Array, at: number, length: number): number {
    const { cdb } = command.task;
    for (let taken = 0; taken < length; ) {
      cdb[command.cdbLength++] = bytes[at + taken++];
      if (command.cdbLength < cdbLengthOf(cdb[0])) continue;
      this.#carrier.start(command, this.#incoming.isIdentified);
      return taken;
    }
    return length;
  }

  #abort(command: TargetCommand, message: number): void {
    this.#waiting.abort(({ initiator, lun, tag }) => {
      if (lun !== command.lun || (initiator !== command.initiator && message !== Message.ClearQueue)) return false;
      return message !== Message.AbortTag || tag === command.tag;
    });
    if (message === Message.Abort) this.#carrier.sense.forget(command.initiator, command.lun);
    else if (message === Message.ClearQueue) this.#carrier.sense.forgetUnit(command.lun);
    this.#drop();
  }

  /** A command that waited goes on: on the bus if it is there, else by reselection. */
  #comeBack(command: TargetCommand): void {
    if (this.#current === command) {
      // DISCONNECT may be on its way: then it leaves first and comes back.
      if (this.#outgoing.isEmpty && !this.#outgoing.awaitsAck) this.#proceed();
      this.#wire.changed();
      return;
    }
    this.#waiting.makeReady(command);
  }

  /** Sends DISCONNECT although there is nothing to wait for. */
  #goAway(command: TargetCommand): void {
    if (command.position > 0 && (this.#options.savesPointers ?? true)) {
      this.#outgoing.add(savePointers);
      command.savedPosition = command.position;
    }
    this.#outgoing.add(disconnect, "leave");
    this.#proceed();
  }

  /** DISCONNECT was taken. */
  #leave(): void {
    const command = this.#current;
    this.#forgetNexus();
    if (command === undefined) return;
    this.#waiting.add(command);
    if (command.stage !== "executing") this.#waiting.makeReady(command);
    this.#waiting.askForBus();
    this.#wire.changed();
  }

  /** COMMAND COMPLETE was taken. */
  #finish(): void {
    const command = this.#current;
    this.#forgetNexus();
    if (command !== undefined) this.#keep(command);
    this.#waiting.askForBus();
  }

  #keep(command: TargetCommand): void {
    const { length } = this.#pool;
    const isKept = length < pooledCommands || (length < pooledSmallCommands && command.room <= smallRoom);
    if (isKept) this.#pool.push(command);
  }

  #moved(command: TargetCommand, step: number): void {
    const next = this.#data.moved(command, step);
    if (next === "more") {
      // ATN is heard between two pieces.
      if (this.#attention) this.#proceed();
    } else if (next === "leave") this.#goAway(command);
    else if (command.stage === "data-in") {
      command.stage = "status";
      this.#proceed();
    } else if (command.busError === undefined) this.#carrier.dataTaken(command);
    else {
      this.#failed(command, command.busError);
      this.#proceed();
    }
  }
}
