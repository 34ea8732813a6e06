/** The control messages of the console's device half: a bounded list on the way out, one message at a time on the way in. */
import type { Observer } from "../../observe/index.js";
import type { DeviceHost } from "../../transport/index.js";
import type { Chain, QueueDevice } from "../../virtqueue/index.js";
import { reportViolation, serveQueue } from "../device-base/index.js";
import { ConsoleQueue, consoleControl, consoleEventName } from "./protocol.js";

/** A message of the driver's. False: it makes no sense. */
export type ControlListener = (id: number, event: number, value: number) => boolean;

/** Messages that may wait for the driver before its own are left where they are. */
const patience = 256;

export class DeviceControl {
  readonly #host: DeviceHost;
  readonly #observer: Observer | undefined;
  readonly #listener: ControlListener;
  readonly #waiting: Uint8Array[] = [];
  readonly #bytes = new Uint8Array(consoleControl.size);

  constructor(host: DeviceHost, listener: ControlListener, observer: Observer | undefined) {
    this.#host = host;
    this.#listener = listener;
    this.#observer = observer;
  }

  /** Sends a message, with what follows it. */
  send(id: number, event: number, value: number, tail: Uint8Array = new Uint8Array(0)): void {
    const message = new Uint8Array(consoleControl.size + tail.length);
    consoleControl.write(new DataView(message.buffer), 0, this.#host.endianness, { id, event, value });
    message.set(tail, consoleControl.size);
    this.#waiting.push(message);
    this.deliver();
  }

  /** Gives the driver what waits for it, and then takes what it said meanwhile. */
  deliver(): void {
    serveQueue(this.#host, ConsoleQueue.ControlReceive, this.#fill, this.#hasWaiting);
  }

  /** Takes the driver's messages, as long as the answers have somewhere to go. */
  collect(): void {
    serveQueue(this.#host, ConsoleQueue.ControlTransmit, this.#take, this.#hasPatience);
  }

  reset(): void {
    this.#waiting.length = 0;
  }

  /** Messages that wait for the driver. */
  get waiting(): readonly Uint8Array[] {
    return this.#waiting;
  }

  /** Adds messages that waited in a snapshot. */
  restore(messages: readonly Uint8Array[]): void {
    this.#waiting.push(...messages);
  }

  readonly #hasWaiting = () => this.#waiting.length > 0;
  readonly #hasPatience = () => this.#waiting.length < patience;

  readonly #fill = (chain: Chain, queue: QueueDevice) => {
    const message = this.#waiting.shift() as Uint8Array;
    const room = chain.writable.byteLength;
    if (room < consoleControl.size) {
      // The message is lost: the driver would give the same buffer again and again.
      const detail = `${room} bytes for a control message`;
      reportViolation(this.#host, this.#observer, { queue, chain, code: "response-space-short", detail });
      queue.push(chain, 0);
      return;
    }
    // A name that is longer than the buffer is cut.
    queue.push(chain, chain.writable.write(message.subarray(0, room)));
  };

  readonly #take = (chain: Chain, queue: QueueDevice) => {
    const length = chain.readable.byteLength;
    if (length < consoleControl.size) {
      const detail = `${length} of ${consoleControl.size} bytes of a control message`;
      reportViolation(this.#host, this.#observer, { queue, chain, code: "request-header-short", detail });
      queue.push(chain, 0);
      return;
    }
    chain.readable.copyOut(this.#bytes, 0, consoleControl.size);
    const { endianness } = this.#host;
    const { id, event, value } = consoleControl.read(new DataView(this.#bytes.buffer), 0, endianness);
    if (!this.#listener(id, event, value)) {
      const detail = `${consoleEventName(event)} for port ${id}`;
      reportViolation(this.#host, this.#observer, { queue, chain, code: "control-type-unknown", detail });
    }
    queue.push(chain, 0);
  };
}
