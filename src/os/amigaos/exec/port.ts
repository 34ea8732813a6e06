/** Exec's message ports and messages. */
import { ExecList, ExecNode } from "./list.js";
import type { ExecTask } from "./task.js";

/** A message. It belongs to whoever got it until it is replied. */
export class ExecMessage extends ExecNode {
  /** Where it goes back to. */
  replyPort: MessagePort | undefined;
}

/** A port: messages in order, and the task that is signalled when one comes. */
export class MessagePort {
  readonly task: ExecTask;
  /** The signal, as a mask. */
  readonly signal: number;
  readonly #messages = new ExecList();

  /** CreateMsgPort: takes a signal of the task's. */
  constructor(task: ExecTask) {
    this.task = task;
    this.signal = task.allocateSignal();
  }

  get isEmpty(): boolean {
    return this.#messages.isEmpty;
  }

  /** The oldest message, left where it is. */
  get first(): ExecMessage | undefined {
    return this.#messages.head as ExecMessage | undefined;
  }

  /** PutMsg. */
  put(message: ExecMessage): void {
    this.#messages.addTail(message);
    this.task.signal(this.signal);
  }

  /** GetMsg: the oldest message, or undefined. */
  get(): ExecMessage | undefined {
    return this.#messages.removeHead() as ExecMessage | undefined;
  }

  /** Takes a message out, wherever it is in the queue. False when it is not here. */
  remove(message: ExecMessage): boolean {
    return this.#messages.remove(message);
  }

  /** DeleteMsgPort. */
  close(): void {
    this.task.freeSignal(this.signal);
  }
}

/** A port with PA_SOFTINT: its handler is called with each message as it comes. */
export class SoftwarePort extends MessagePort {
  readonly #handler: (message: ExecMessage) => void;

  /** CreateMsgPort with a software interrupt instead of a signal. */
  constructor(task: ExecTask, handler: (message: ExecMessage) => void) {
    super(task);
    this.#handler = handler;
  }

  override put(message: ExecMessage): void {
    this.#handler(message);
  }
}
