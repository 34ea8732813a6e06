/**
 * Pseudo-terminals: a serial line between two programs. We hold the end of the wire that an emulator's serial port is
 * connected to; the other end has a path. Reads and writes block this thread, with time limits, and bytes pass as they
 * are.
 */
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { DescriptorWaiter, pollEvents } from "./descriptor.js";
import { libcFunction } from "./libc.js";
import { SystemCallError, systemCallError } from "./system-error.js";

const ioctlCall = libcFunction("int ioctl(int, unsigned long, void *)");
const getAttributesCall = libcFunction("int tcgetattr(int, void *)");
const makeRawCall = libcFunction("void cfmakeraw(void *)");
const setAttributesCall = libcFunction("int tcsetattr(int, int, void *)");

/** `ioctl` requests on the end that has no path. */
const lockTerminal = 0x40045431;
const terminalNumber = 0x80045430;
/** More than `struct termios` has on any Linux. */
const attributesSize = 256;

/** Our end of a new pseudo-terminal. */
export class PseudoTerminal {
  /** The other end, for a program that opens a serial device. */
  readonly path: string;
  #descriptor: number;
  #other: number;
  readonly #waiter: DescriptorWaiter;

  /** @throws SystemCallError, or Node's own error when there are no pseudo-terminals. */
  constructor() {
    const flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK;
    this.#descriptor = openSync("/dev/ptmx", flags);
    this.#other = -1;
    try {
      const number = new Int32Array(1);
      if (ioctlCall()(this.#descriptor, lockTerminal, number) < 0) throw systemCallError("ioctl", "TIOCSPTLCK");
      if (ioctlCall()(this.#descriptor, terminalNumber, number) < 0) throw systemCallError("ioctl", "TIOCGPTN");
      this.path = `/dev/pts/${number[0]}`;
      // Held open until the program has it: without anybody at the other end reads fail.
      this.#other = openSync(this.path, flags);
      const attributes = new Uint8Array(attributesSize);
      if (getAttributesCall()(this.#other, attributes) < 0) throw systemCallError("tcgetattr", this.path);
      makeRawCall()(attributes);
      if (setAttributesCall()(this.#other, 0, attributes) < 0) throw systemCallError("tcsetattr", this.path);
    } catch (error) {
      this.close();
      throw error;
    }
    this.#waiter = new DescriptorWaiter(this.#descriptor);
  }

  /** From now on the end of the program at the other end shows here. Call it when that has opened its end. */
  leaveOtherEnd(): void {
    if (this.#other >= 0) closeSync(this.#other);
    this.#other = -1;
  }

  /**
   * Sends the first `length` bytes.
   * @throws SystemCallError `ETIMEDOUT` when the line does not take them within `milliseconds`.
   */
  send(bytes: Uint8Array, length: number, milliseconds: number): void {
    this.#checkOpen("write");
    for (let done = 0; done < length; ) {
      const sent = attempt(() => writeSync(this.#descriptor, bytes, done, length - done));
      if (sent !== undefined) done += sent;
      else if (!this.#waiter.wait(pollEvents.writable, milliseconds)) throw new SystemCallError("write", "ETIMEDOUT");
    }
  }

  /**
   * Receives into `target`.
   * @returns the number of bytes; 0 when nobody is at the other end any more; -1 when nothing came within
   * `milliseconds`.
   */
  receive(target: Uint8Array, milliseconds: number): number {
    this.#checkOpen("read");
    if (!this.#waiter.wait(pollEvents.readable, milliseconds)) return -1;
    try {
      return attempt(() => readSync(this.#descriptor, target, 0, target.length, null)) ?? -1;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EIO") return 0;
      throw error;
    }
  }

  /** Closes the line; the other end reads end of file. May be called again. */
  close(): void {
    this.leaveOtherEnd();
    if (this.#descriptor >= 0) closeSync(this.#descriptor);
    this.#descriptor = -1;
  }

  #checkOpen(call: string): void {
    if (this.#descriptor < 0) throw new SystemCallError(call, "EBADF", "the line is closed");
  }
}

/** Undefined when the call would have had to wait. */
function attempt(call: () => number): number | undefined {
  try {
    return call();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN" || code === "EINTR") return undefined;
    throw error;
  }
}
