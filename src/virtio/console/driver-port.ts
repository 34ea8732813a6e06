/** One port of the console's driver half. */
import { DeviceError } from "../../errors/index.js";
import type { ReceiveQueue, SendQueue } from "../driver-base/index.js";
import type { ConsoleSize } from "./protocol.js";

/** Bytes of one message; longer writes become several. */
export const portSlotSize = 4096;

/** Bytes that wait for somebody who listens; older ones are lost. */
const backlogLimit = 65_536;

/** The two queues of a port, while the device is up. */
export interface PortQueues {
  readonly receive: ReceiveQueue;
  readonly transmit: SendQueue;
  /** The receive buffers are with the device. */
  isStarted: boolean;
}

/** What a port tells the driver to tell the device. */
export type TellOpen = (id: number, isOpen: boolean) => void;

/** A port of a {@link VirtioConsoleDriver}: our end of it. */
export class ConsolePort {
  readonly id: number;
  /** What the device calls it. */
  name: string | undefined;
  /** The device wants it to be used as a console. */
  isConsole = false;
  /** Somebody is at the device's end. */
  isHostOpen = false;
  /** Columns and rows, when the device told them. */
  size: ConsoleSize | undefined;
  readonly #tellOpen: TellOpen;
  readonly #changed = new Set<() => void>();
  #queues: PortQueues | undefined;
  #isOpen = false;
  #listener: ((bytes: Uint8Array) => void) | undefined;
  #backlog: Uint8Array[] = [];
  #backlogged = 0;

  constructor(id: number, tellOpen: TellOpen) {
    this.id = id;
    this.#tellOpen = tellOpen;
  }

  /** Whether the device has this port now. */
  get isPresent(): boolean {
    return this.#queues !== undefined;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Called with what arrives; the bytes are the listener's. What came before somebody listened comes first. */
  set onData(listener: ((bytes: Uint8Array) => void) | undefined) {
    this.#listener = listener;
    if (listener === undefined) return;
    this.#backlogged = 0;
    for (const bytes of this.#backlog.splice(0)) listener(bytes);
  }

  /** Listens to changes of name, size, and the device's end. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#changed.add(listener);
    return () => this.#changed.delete(listener);
  }

  /** Our end is opened or closed: the device is told. @throws the reason when the driver is not up. */
  setOpen(isOpen: boolean): void {
    if (isOpen === this.#isOpen) return;
    this.#isOpen = isOpen;
    this.#tellOpen(this.id, isOpen);
  }

  /** Sends bytes; ends when the device took all of them. @throws DeviceError when the port is gone */
  async write(bytes: Uint8Array): Promise<void> {
    const queues = this.#queues;
    if (queues === undefined) throw new DeviceError(`port ${this.id} is not there`);
    const sent: Promise<void>[] = [];
    for (let at = 0; at < bytes.length; at += portSlotSize) {
      sent.push(queues.transmit.send(bytes.subarray(at, at + portSlotSize)));
    }
    await Promise.all(sent);
  }

  /** For the driver: the device has the port, or has it no more. */
  attach(queues: PortQueues | undefined): void {
    if (queues === undefined) {
      this.isHostOpen = false;
      this.#isOpen = false;
    } else if (!queues.isStarted) {
      queues.isStarted = true;
      queues.receive.start();
    }
    this.#queues = queues;
  }

  /** For the driver: bytes came. */
  received(bytes: Uint8Array): void {
    if (this.#queues === undefined || bytes.length === 0) return;
    const copy = bytes.slice();
    if (this.#listener !== undefined) {
      this.#listener(copy);
      return;
    }
    this.#backlog.push(copy);
    this.#backlogged += copy.length;
    while (this.#backlogged > backlogLimit) this.#backlogged -= this.#backlog.shift()?.length ?? 0;
  }

  /** For the driver: something about the port is different. */
  changed(): void {
    for (const listener of this.#changed) listener();
  }
}
