/** The control queue, driver half: one promise a command (virtio 1.2 §5.1.6.5). */
import { DeviceError, ProtocolError } from "../../errors/index.js";
import { blockBytes, type DmaBlock } from "../../memory/index.js";
import type { DriverLink } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import { ControlAck, controlHeader } from "./protocol.js";

/** What stands in the answer until the device has written one. */
const unanswered = 0xff;

interface Command {
  readonly block: DmaBlock;
  readonly name: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** The control queue of one session. */
export class NetControlQueue {
  readonly #link: DriverLink;
  readonly #queue: QueueDriver<Command>;
  readonly #waiting: Command[] = [];
  #closed: Error | undefined;

  constructor(link: DriverLink, queue: QueueDriver<Command>) {
    this.#link = link;
    this.#queue = queue;
  }

  /** Sends a command. @throws DeviceError when the device refuses it; the reason when the driver is closed. */
  send(kind: number, command: number, data: Uint8Array, name: string): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const length = controlHeader.size + data.length;
    const block = this.#link.transport.dma.allocate(length + 1, 16);
    const bytes = blockBytes(block);
    bytes[controlHeader.offset.class] = kind;
    bytes[controlHeader.offset.command] = command;
    bytes.set(data, controlHeader.size);
    bytes[length] = unanswered;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ block, name, resolve, reject });
      this.#submit();
    });
  }

  /** Ends commands that were answered. @throws ProtocolError */
  poll(): void {
    do {
      for (let command = this.#queue.reap(); command !== undefined; command = this.#queue.reap()) this.#end(command);
      this.#submit();
    } while (!this.#queue.enableInterrupts());
  }

  /** After a reset: what was in flight fails. Memory that the device may still write to is kept. */
  close(error: Error, keepsMemory: boolean): void {
    this.#closed = error;
    for (const command of [...this.#queue.detachAll(keepsMemory), ...this.#waiting.splice(0)]) {
      if (!keepsMemory) this.#link.transport.dma.free(command.block);
      command.reject(error);
    }
  }

  #end({ block, name, resolve, reject }: Command): void {
    const ack = block.region.bytes[block.offset + block.size - 1];
    this.#link.transport.dma.free(block);
    if (ack === ControlAck.Ok) resolve();
    else if (ack === unanswered)
      reject(new ProtocolError("response-short", { queue: this.#queue.index, detail: name }));
    else reject(new DeviceError(`the adapter refused ${name} (answer ${ack})`));
  }

  #submit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { address, size } = next.block;
      const pieces = new ChainPieces();
      // Historic framing: the head, the data and the answer each in a descriptor of its own.
      pieces.addReadable(address, controlHeader.size);
      if (size > controlHeader.size + 1)
        pieces.addReadable(address + controlHeader.size, size - controlHeader.size - 1);
      pieces.addWritable(address + size - 1, 1);
      if (!this.#queue.add(pieces, next)) break;
      this.#waiting.shift();
    }
    if (this.#queue.publish()) this.#link.transport.notify(this.#queue.index);
  }
}
