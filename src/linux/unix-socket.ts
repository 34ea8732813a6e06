/**
 * Unix stream sockets whose calls block this thread, with time limits: for protocols that are answered at once
 * (QEMU's qtest) and for threads that own a connection. Node's own sockets cannot be waited for synchronously.
 */
import { closeDescriptor, DescriptorWaiter, pollEvents } from "./descriptor.js";
import { libcFunction } from "./libc.js";
import { SystemCallError, systemCallError, wasInterrupted, wouldBlock } from "./system-error.js";

const socketCall = libcFunction("int socket(int, int, int)");
const bindCall = libcFunction("int bind(int, void *, unsigned int)");
const listenCall = libcFunction("int listen(int, int)");
const connectCall = libcFunction("int connect(int, void *, unsigned int)");
const acceptCall = libcFunction("int accept4(int, void *, void *, int)");
const sendCall = libcFunction("int64_t send(int, void *, size_t, int)");
const receiveCall = libcFunction("int64_t recv(int, void *, size_t, int)");

const familyUnix = 1;
const streamCloseOnExec = 1 | 0o2000000;
const closeOnExec = 0o2000000;
const doNotWait = 0x40;
const noSignal = 0x4000;
/** `sun_path` holds 108 bytes, the last of which is 0. */
const longestPath = 107;

/** @throws RangeError when the path does not fit into a socket address. */
function socketAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  if (name.length === 0 || name.length > longestPath) {
    throw new RangeError(`a socket path has 1 to ${longestPath} bytes; ${path} has ${name.length}`);
  }
  const address = new Uint8Array(2 + name.length + 1);
  new Uint16Array(address.buffer, 0, 1)[0] = familyUnix;
  address.set(name, 2);
  return address;
}

function openSocket(): number {
  const descriptor: number = socketCall()(familyUnix, streamCloseOnExec, 0);
  if (descriptor < 0) throw systemCallError("socket");
  return descriptor;
}

/** A connected stream socket. */
export class UnixSocket {
  #descriptor: number;
  readonly #waiter: DescriptorWaiter;

  /** Takes over a connected descriptor. */
  constructor(descriptor: number) {
    this.#descriptor = descriptor;
    this.#waiter = new DescriptorWaiter(descriptor);
  }

  /** Connects to a listening socket. @throws SystemCallError (`ENOENT`, `ECONNREFUSED` …), RangeError for a long path. */
  static connect(path: string): UnixSocket {
    const address = socketAddress(path);
    const descriptor = openSocket();
    let result: number;
    do result = connectCall()(descriptor, address, address.length);
    while (result < 0 && wasInterrupted());
    if (result < 0) {
      const error = systemCallError("connect", path);
      closeDescriptor(descriptor);
      throw error;
    }
    return new UnixSocket(descriptor);
  }

  /** The file descriptor, for other calls; -1 once closed. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /**
   * Sends the first `length` bytes.
   * @throws SystemCallError `ETIMEDOUT` when the peer does not take them within `milliseconds`, `EPIPE` when it is gone.
   */
  send(bytes: Uint8Array, length: number, milliseconds: number): void {
    this.#checkOpen("send");
    if (length > bytes.length) throw new RangeError(`${length} bytes to send, buffer has ${bytes.length}`);
    let done = 0;
    while (done < length) {
      const rest = done === 0 ? bytes : bytes.subarray(done);
      const sent: number = sendCall()(this.#descriptor, rest, length - done, doNotWait | noSignal);
      if (sent >= 0) done += sent;
      else if (wouldBlock()) {
        if (!this.#waiter.wait(pollEvents.writable, milliseconds)) throw new SystemCallError("send", "ETIMEDOUT");
      } else if (!wasInterrupted()) throw systemCallError("send");
    }
  }

  /**
   * Receives into `target` (at least one byte).
   * @returns the number of bytes; 0 when the peer closed the connection; -1 when nothing came within `milliseconds`.
   * @throws SystemCallError `ECONNRESET` and the like.
   */
  receive(target: Uint8Array, milliseconds: number): number {
    this.#checkOpen("recv");
    for (;;) {
      const received: number = receiveCall()(this.#descriptor, target, target.length, doNotWait);
      if (received >= 0) return received;
      if (wouldBlock()) {
        if (milliseconds === 0 || !this.#waiter.wait(pollEvents.readable, milliseconds)) return -1;
      } else if (!wasInterrupted()) throw systemCallError("recv");
    }
  }

  /** True when there is something to receive (or the peer is gone) within `milliseconds`. */
  isReadable(milliseconds = 0): boolean {
    this.#checkOpen("poll");
    return this.#waiter.wait(pollEvents.readable, milliseconds);
  }

  /** True when the peer takes something within `milliseconds`, or is gone. */
  isWritable(milliseconds = 0): boolean {
    this.#checkOpen("poll");
    return this.#waiter.wait(pollEvents.writable, milliseconds);
  }

  /** Closes the connection. May be called again. */
  close(): void {
    if (this.#descriptor < 0) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
  }

  #checkOpen(call: string): void {
    if (this.#descriptor < 0) throw new SystemCallError(call, "EBADF", "the socket is closed");
  }
}

/** A socket that peers connect to. The file in the file system is its caller's to remove. */
export class UnixListener {
  #descriptor: number;
  readonly #waiter: DescriptorWaiter;

  /**
   * @param place a path to listen on, or a descriptor that listens already: it is taken over.
   * @throws SystemCallError (`EADDRINUSE`, `EACCES` …), RangeError for a long path.
   */
  constructor(place: string | number, backlog = 8) {
    if (typeof place === "number") {
      this.#descriptor = place;
      this.#waiter = new DescriptorWaiter(place);
      return;
    }
    const path = place;
    const address = socketAddress(path);
    const descriptor = openSocket();
    const call =
      bindCall()(descriptor, address, address.length) < 0
        ? "bind"
        : listenCall()(descriptor, backlog) < 0
          ? "listen"
          : undefined;
    if (call !== undefined) {
      const error = systemCallError(call, path);
      closeDescriptor(descriptor);
      throw error;
    }
    this.#descriptor = descriptor;
    this.#waiter = new DescriptorWaiter(descriptor);
  }

  /** The file descriptor, for other calls; -1 once closed. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /** The next connection, or undefined when none came within `milliseconds`. @throws SystemCallError */
  accept(milliseconds: number): UnixSocket | undefined {
    if (this.#descriptor < 0) throw new SystemCallError("accept", "EBADF", "the socket is closed");
    if (!this.#waiter.wait(pollEvents.readable, milliseconds)) return undefined;
    let descriptor: number;
    do descriptor = acceptCall()(this.#descriptor, null, null, closeOnExec);
    while (descriptor < 0 && wasInterrupted());
    if (descriptor < 0) throw systemCallError("accept");
    return new UnixSocket(descriptor);
  }

  /** Stops listening. May be called again. */
  close(): void {
    if (this.#descriptor < 0) return;
    closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
  }
}
