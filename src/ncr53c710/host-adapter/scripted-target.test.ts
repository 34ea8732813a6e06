/** What tests of the driver share: a target on the wire that does what the test says, command by command. */
import { busFree, Message, noRequest, Phase, type ScsiWire, type WireTarget } from "../index.js";
import { cdbLengthOf } from "../target/target-command.js";

/** What a target does next: bytes of an input phase, silence until ATN, or leaving the bus. */
export type Step = { readonly phase: number; readonly bytes: readonly number[] } | "silence" | "leave";

const messageIn = (...bytes: readonly number[]): Step => ({ phase: Phase.MessageIn, bytes });

/** Steps that tests are made of. */
export const steps = {
  /** DISCONNECT. */
  goAway: [messageIn(Message.Disconnect), "leave"],
  /** Status and COMMAND COMPLETE. */
  end: (status: number): Step[] => [
    { phase: Phase.Status, bytes: [status] },
    messageIn(Message.CommandComplete),
    "leave",
  ],
  /** IDENTIFY and a queue tag, as a target says them that comes back. */
  return: (tag: number): Step[] => [messageIn(Message.Identify), messageIn(Message.SimpleTag, tag)],
  dataIn: (bytes: readonly number[]): Step => ({ phase: Phase.DataIn, bytes }),
} as const satisfies Record<string, unknown>;

/** A command as it came. */
export interface Heard {
  /** -1 without. */
  readonly tag: number;
  readonly cdb: readonly number[];
}

/** The target; takes the place of the one that the wire has. */
export class ScriptedTarget {
  /** What it heard instead of commands: the last message of a connection without CDB. */
  readonly lastMessages: number[] = [];
  /** Commands, in order. */
  readonly heard: Heard[] = [];
  /** Asked after each CDB. */
  onCommand: (command: Heard) => readonly Step[] = () => steps.end(0);
  readonly #wire: ScsiWire;
  readonly #id: number;
  #plan: Step[] = [];
  #sent = 0;
  #messages: number[] = [];
  #cdb: number[] = [];
  #mode: "free" | "listening" | "command" | "plan" = "free";
  #attention = false;
  #awaitsAck = false;
  readonly #returning: (readonly Step[])[] = [];

  constructor(wire: ScsiWire, id: number) {
    this.#wire = wire;
    this.#id = id;
    const tricks: WireTarget = {
      selected: (_initiator, attention) => this.#selected(attention),
      reselected: () => this.#begin(this.#returning.shift() ?? ["leave"]),
      phase: () => this.#phase(),
      receive: (bytes, at, length) => this.#receive(bytes, at, length),
      send: (bytes, at, length) => this.#send(bytes, at, length),
      acknowledged: () => this.#acknowledged(),
      attention: (asserted) => {
        this.#attention = asserted;
      },
      abandoned: () => this.#forget(),
      busReset: () => this.#forget(),
    };
    Object.assign(wire.target(id) as WireTarget, tricks);
  }

  /** Comes back with these steps as soon as the bus is free. */
  comeBack(plan: readonly Step[]): void {
    this.#returning.push(plan);
    this.#wire.requestReselection(this.#id);
  }

  #forget(): void {
    this.#mode = "free";
    this.#returning.length = 0;
  }

  #selected(attention: boolean): boolean {
    this.#wire.cancelReselection(this.#id);
    this.#attention = attention;
    this.#messages = [];
    this.#cdb = [];
    this.#mode = attention ? "listening" : "command";
    return true;
  }

  #begin(plan: readonly Step[]): void {
    this.#plan = [...plan];
    this.#sent = 0;
    this.#awaitsAck = false;
    this.#mode = "plan";
    this.#skip();
  }

  #phase(): number {
    if (this.#mode === "free") return busFree;
    const [step] = this.#plan;
    if (this.#mode === "plan" && step === "silence" && this.#attention) {
      this.#messages = [];
      this.#mode = "listening";
    }
    if (this.#mode === "listening") return Phase.MessageOut;
    if (this.#mode === "command") return Phase.Command;
    return this.#awaitsAck || typeof step !== "object" ? noRequest : step.phase;
  }

  #receive(bytes: Uint8Array, at: number, length: number): number {
    const [step] = this.#plan;
    if (typeof step !== "object") return 0;
    const count = step.phase === Phase.MessageIn ? 1 : Math.min(length, step.bytes.length - this.#sent);
    for (let index = 0; index < count; index++) bytes[at + index] = step.bytes[this.#sent + index];
    this.#sent += count;
    this.#awaitsAck = step.phase === Phase.MessageIn;
    if (!this.#awaitsAck) this.#advance();
    return count;
  }

  #acknowledged(): void {
    if (!this.#awaitsAck) return;
    this.#awaitsAck = false;
    this.#advance();
  }

  #advance(): void {
    const [step] = this.#plan;
    if (typeof step !== "object" || this.#sent < step.bytes.length) return;
    this.#plan.shift();
    this.#sent = 0;
    this.#skip();
  }

  #skip(): void {
    if (this.#plan[0] !== "leave") return;
    this.#mode = "free";
    if (this.#returning.length > 0) this.#wire.requestReselection(this.#id);
  }

  #send(bytes: Uint8Array, at: number, length: number): number {
    if (this.#mode === "listening") this.#listen(bytes[at]);
    else if (this.#mode === "command") return this.#takeCdb(bytes, at, length);
    return 1;
  }

  #listen(byte: number): void {
    this.#messages.push(byte);
    if (this.#attention) return;
    const isLast = byte === Message.Abort || byte === Message.AbortTag || byte === Message.BusDeviceReset;
    const isTag = this.#messages.at(-2) === Message.SimpleTag;
    if (!isLast || isTag) {
      this.#mode = "command";
      return;
    }
    this.lastMessages.push(byte);
    this.#mode = "free";
  }

  #takeCdb(bytes: Uint8Array, at: number, length: number): number {
    for (let taken = 0; taken < length; ) {
      this.#cdb.push(bytes[at + taken++]);
      if (this.#cdb.length < cdbLengthOf(this.#cdb[0])) continue;
      const place = this.#messages.indexOf(Message.SimpleTag);
      const command = { tag: place < 0 ? -1 : this.#messages[place + 1], cdb: this.#cdb };
      this.heard.push(command);
      this.#begin(this.onCommand(command));
      return taken;
    }
    return length;
  }
}
