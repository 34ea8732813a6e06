/** The front end's connection and event descriptors, on Linux. */
import { DeviceError } from "../../errors/index.js";
import {
  closeDescriptor,
  createEventDescriptor,
  createSocketPair,
  type ReadableWatch,
  receiveWithDescriptors,
  SystemCallError,
  sendWithDescriptors,
  signalEvent,
  UnixSocket,
  watchEvent,
  watchReadable,
} from "../../linux/index.js";
import { type FrontEndSystem, MessageFlag, messageHeader, wire } from "../../transport/index.js";

/** How long the back end may take for an answer, in milliseconds, unless the caller says otherwise. */
export const defaultAnswerLimit = 10_000;

/** A connection to a back end. */
export class LinuxFrontEndSystem implements FrontEndSystem {
  readonly #socket: UnixSocket;
  readonly #limit: number;
  readonly #watch: ReadableWatch;
  #listener: (() => void) | undefined;
  #isClosed = false;

  /** Takes the socket over. */
  constructor(socket: UnixSocket, answerLimit = defaultAnswerLimit) {
    this.#socket = socket;
    this.#limit = answerLimit;
    this.#watch = watchReadable(socket.descriptor, () => this.#readable());
    this.#watch.arm();
  }

  send(bytes: Uint8Array, descriptors: readonly number[]): void {
    const end = performance.now() + this.#limit;
    this.#guard(() => {
      let done = 0;
      while (done < bytes.length) {
        const passed = done === 0 ? descriptors : [];
        const sent = sendWithDescriptors(this.#socket.descriptor, bytes, done, bytes.length - done, passed);
        if (sent > 0) done += sent;
        else if (performance.now() > end || !this.#socket.isWritable(this.#limit))
          throw new DeviceError(this.#silence());
      }
    });
  }

  receive(target: Uint8Array, length: number, descriptors: number[]): void {
    const end = performance.now() + this.#limit;
    this.#guard(() => {
      let done = 0;
      while (done < length) {
        const count = receiveWithDescriptors(this.#socket.descriptor, target, done, length - done, descriptors);
        if (count === 0) throw new DeviceError("the vhost-user back end closed the connection");
        if (count > 0) done += count;
        else if (!this.#socket.isReadable(Math.max(0, end - performance.now()))) throw new DeviceError(this.#silence());
      }
    });
  }

  onClosed(listener: () => void): void {
    this.#listener = listener;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.close();
    this.#socket.close();
  }

  openBackChannel(onRequest: (request: number) => void): { descriptor: number; close(): void } {
    const [ours, descriptor] = createSocketPair();
    return { descriptor, ...listenTo(new UnixSocket(ours), onRequest) };
  }

  createEvent(): number {
    return createEventDescriptor();
  }

  signal(descriptor: number): void {
    signalEvent(descriptor);
  }

  watch(descriptor: number, onEvent: () => void): { close(): void } {
    return watchEvent(descriptor, onEvent);
  }

  closeDescriptor(descriptor: number): void {
    closeDescriptor(descriptor);
  }

  /** Answers are taken by who waits for them: what is left to find here is the end of the connection. */
  #readable(): void {
    if (this.#isClosed) return;
    const byte = new Uint8Array(1);
    let count: number;
    try {
      count = receiveWithDescriptors(this.#socket.descriptor, byte, 0, 1);
    } catch {
      count = 0;
    }
    if (count < 0) {
      this.#watch.arm();
      return;
    }
    this.close();
    this.#listener?.();
  }

  #silence(): string {
    return `the vhost-user back end does not answer within ${this.#limit} ms`;
  }

  #guard(work: () => void): void {
    if (this.#isClosed) throw new DeviceError("the vhost-user back end is gone");
    try {
      work();
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
      throw new DeviceError(`the vhost-user back end is gone: ${error.message}`);
    }
  }
}

/** Reads requests of the back end; answers those that want an answer. */
function listenTo(socket: UnixSocket, onRequest: (request: number) => void): { close(): void } {
  const header = new Uint8Array(messageHeader.size);
  let length = 0;
  const watch = watchReadable(socket.descriptor, () => {
    try {
      for (;;) {
        const count = receiveWithDescriptors(socket.descriptor, header, length, header.length - length);
        if (count < 0) break;
        if (count === 0) return;
        length += count;
        if (length < header.length) continue;
        length = 0;
        const { request, flags, size } = messageHeader.read(new DataView(header.buffer), 0, wire);
        // Nothing with a payload was agreed on: what follows cannot be read.
        if (size !== 0) return;
        if ((flags & MessageFlag.NeedReply) !== 0) answer(socket, request);
        onRequest(request);
      }
      watch.arm();
    } catch (error) {
      if (!(error instanceof SystemCallError)) throw error;
    }
  });
  watch.arm();
  return {
    close() {
      watch.close();
      socket.close();
    },
  };
}

function answer(socket: UnixSocket, request: number): void {
  const message = new Uint8Array(messageHeader.size + 8);
  const header = { request, flags: MessageFlag.Version | MessageFlag.Reply, size: 8 };
  messageHeader.write(new DataView(message.buffer), 0, wire, header);
  sendWithDescriptors(socket.descriptor, message, 0, message.length, []);
}
