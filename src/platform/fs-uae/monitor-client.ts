/**
 * Speaks with the monitor, synchronously: one request, one answer. Everything counts round trips and bytes, as these
 * are what work costs here.
 */
import { type AccessWidth, hex, type RegisterWindow, windowOf } from "../../bytes/index.js";
import { FsUaeError, ProcessorException } from "./fs-uae-error.js";
import { Answer, longestSnapshot, monitorGreeting, Operation, transferSum } from "./monitor-protocol.js";

/** A line to the monitor: {@link PseudoTerminal} has it. */
export interface MonitorLine {
  send(bytes: Uint8Array, length: number, milliseconds: number): void;
  /** Bytes received, 0 at the end of the line, -1 when the time ran out. */
  receive(target: Uint8Array, milliseconds: number): number;
  close(): void;
}

/** How a client behaves. */
export interface MonitorClientOptions {
  /** How long the monitor may take for one answer. Default 20 000 ms. */
  readonly timeout?: number;
  /** What to add to an error: the emulator's last words. */
  readonly lastWords?: () => string;
}

/** What the work so far has cost. */
export interface MonitorCost {
  readonly roundTrips: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Spent waiting for answers. */
  readonly milliseconds: number;
}

/** What a poll saw. */
export interface PollResult {
  /** The value read last. */
  readonly value: number;
  /** False when the limit was reached first. */
  readonly matched: boolean;
  /** Raster lines (64 µs of the machine's time) that it took, about. */
  readonly lines: number;
}

/** Bytes in one upload. */
const uploadStep = 16 * 1024;
/** Bytes in one download: no more than the line holds when this process does not get to run. */
const downloadStep = 2048;
const nearRange = 256;

export class MonitorClient {
  readonly #line: MonitorLine;
  readonly #timeout: number;
  readonly #lastWords: () => string;
  readonly #out = new Uint8Array(uploadStep + 32);
  readonly #outView = new DataView(this.#out.buffer);
  readonly #in = new Uint8Array(Math.max(downloadStep, 4 * longestSnapshot) + 32);
  readonly #inView = new DataView(this.#in.buffer);
  #outLength = 0;
  #failure: FsUaeError | undefined;
  /** What near operations count from. */
  #base = -1;
  /** Page of the last access: a second one near it makes it the base. */
  #lastPage = -1;
  /** Bytes of an answer that is not complete yet. */
  #kept = 0;
  #roundTrips = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #milliseconds = 0;

  constructor(line: MonitorLine, options: MonitorClientOptions = {}) {
    this.#line = line;
    this.#timeout = options.timeout ?? 20_000;
    this.#lastWords = options.lastWords ?? (() => "");
  }

  /** What the work so far has cost. */
  get cost(): MonitorCost {
    return {
      roundTrips: this.#roundTrips,
      bytesSent: this.#bytesSent,
      bytesReceived: this.#bytesReceived,
      milliseconds: this.#milliseconds,
    };
  }

  /** The line is closed or the emulator is gone; no request works any more. */
  get isBroken(): boolean {
    return this.#failure !== undefined;
  }

  /** Looks for the words that the monitor starts with. @returns false while they are not complete. @throws FsUaeError */
  takeGreeting(milliseconds: number): boolean {
    try {
      this.#receive(monitorGreeting.length, milliseconds);
    } catch (error) {
      if (error instanceof TimeoutProblem) return false;
      throw error;
    }
    this.#checkGreeting(0);
    return true;
  }

  /** Asks the monitor whether it is there. @throws FsUaeError */
  hello(): void {
    this.#begin(Operation.Hello);
    this.#exchange(monitorGreeting.length, "hello");
    this.#checkGreeting(1);
  }

  /** Reads a value. @throws ProcessorException when the access fails there, FsUaeError */
  read(address: number, width: AccessWidth): number {
    const near = this.#beginAccess(address, width, Operation.Read8, Operation.NearRead8);
    const start = this.#exchange(width, "read", address, near);
    return this.#value(start, width);
  }

  /** Writes a value. @throws ProcessorException when the access fails there, FsUaeError */
  write(address: number, width: AccessWidth, value: number): void {
    const near = this.#beginAccess(address, width, Operation.Write8, Operation.NearWrite8);
    this.#putValue(value, width);
    this.#exchange(0, "write", address, near);
  }

  /** The processor's address space: offsets are addresses, values as the big-endian processor has them. */
  readonly space: RegisterWindow = windowOf(
    (address, width) => this.read(address >>> 0, width),
    (address, width, value) => this.write(address >>> 0, width, value),
  );

  /** Writes bytes to memory; they are known to have arrived. @throws ProcessorException, FsUaeError */
  upload(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; done += uploadStep) {
      const part = bytes.subarray(done, done + uploadStep);
      this.#begin(Operation.Upload);
      this.#putLong(address + done);
      this.#putLong(part.length);
      this.#out.set(part, this.#outLength);
      this.#outLength += part.length;
      const start = this.#exchange(4, "upload", address + done);
      const [sum, expected] = [this.#inView.getUint32(start), transferSum(part)];
      if (sum !== expected) throw this.#fail(`the upload to ${hex(address + done, 8)} was damaged on the line`);
    }
  }

  /** Reads bytes of memory into `target`. @throws ProcessorException, FsUaeError */
  download(address: number, target: Uint8Array): void {
    for (let done = 0; done < target.length; done += downloadStep) {
      const length = Math.min(downloadStep, target.length - done);
      this.#begin(Operation.Download);
      this.#putLong(address + done);
      this.#putLong(length);
      const start = this.#exchange(length + 4, "download", address + done);
      const part = this.#in.subarray(start, start + length);
      if (transferSum(part) !== this.#inView.getUint32(start + length)) {
        throw this.#fail(`the download from ${hex(address + done, 8)} was damaged on the line`);
      }
      target.set(part, done);
    }
  }

  /** Sets `length` bytes of memory to `byte`. @throws ProcessorException, FsUaeError */
  fill(address: number, length: number, byte: number): void {
    this.#begin(Operation.Fill);
    this.#putLong(address);
    this.#putLong(length);
    this.#putValue(byte, 1);
    this.#exchange(0, "fill", address);
  }

  /** {@link transferSum} of memory, without its bytes passing the line. @throws ProcessorException, FsUaeError */
  sum(address: number, length: number): number {
    this.#begin(Operation.Sum);
    this.#putLong(address);
    this.#putLong(length);
    return this.#inView.getUint32(this.#exchange(4, "sum", address));
  }

  /**
   * Reads a byte (or longword) there until `(value & mask) !== unwanted`, in one round trip.
   * @param lines the limit: raster lines of 64 µs of the machine's time. @throws ProcessorException, FsUaeError
   */
  poll(address: number, width: 1 | 4, mask: number, unwanted: number, lines: number): PollResult {
    if (!Number.isSafeInteger(lines) || lines < 1) throw new RangeError(`a poll has a limit of lines, got ${lines}`);
    this.#begin(width === 1 ? Operation.Poll8 : Operation.Poll32);
    for (const value of [address, mask, unwanted, lines]) this.#putLong(value);
    const start = this.#exchange(8, "poll", address);
    const left = this.#inView.getUint32(start + 4);
    return { value: this.#inView.getUint32(start), matched: left !== 0, lines: lines - left };
  }

  /** Calls a routine that ends with RTS, with `argument` in D0. @returns its D0. @throws ProcessorException, FsUaeError */
  call(address: number, argument = 0): number {
    this.#begin(Operation.Call);
    this.#putLong(address);
    this.#putLong(argument);
    return this.#inView.getUint32(this.#exchange(4, "call", address));
  }

  /** `count` values from `address` on, in ascending order, in one round trip. @throws ProcessorException, FsUaeError */
  snapshot(address: number, width: 1 | 4, count: number): number[] {
    if (!Number.isSafeInteger(count) || count < 1 || count > longestSnapshot) {
      throw new RangeError(`a snapshot has 1 to ${longestSnapshot} values, got ${count}`);
    }
    this.#begin(width === 1 ? Operation.Snapshot8 : Operation.Snapshot32);
    this.#putLong(address);
    this.#putLong(count);
    const start = this.#exchange(count * width, "snapshot", address);
    return Array.from({ length: count }, (_, index) => this.#value(start + index * width, width));
  }

  /** Ends the connection; later requests fail. */
  close(): void {
    this.#failure ??= new FsUaeError("the machine is closed");
    this.#line.close();
  }

  /** Begins an access by the shorter form when it is near the base. @returns whether that sets a new base first. */
  #beginAccess(address: number, width: AccessWidth, far: number, near: number): boolean {
    const kind = width === 4 ? 2 : width - 1;
    const page = Math.floor(address / nearRange) * nearRange;
    const isFirstNear = page !== this.#base && page === this.#lastPage;
    this.#lastPage = page;
    this.#begin(isFirstNear ? Operation.SetBase : page === this.#base ? near + kind : far + kind);
    if (isFirstNear) {
      this.#putLong(page);
      this.#putValue(near + kind, 1);
      this.#base = page;
    }
    if (page === this.#base) this.#putValue(address - page, 1);
    else this.#putLong(address);
    return isFirstNear;
  }

  #begin(operation: number): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#out[0] = operation;
    this.#outLength = 1;
  }

  #putLong(value: number): void {
    this.#putValue(value, 4);
  }

  #putValue(value: number, width: AccessWidth): void {
    if (width === 1) this.#out[this.#outLength] = value;
    else if (width === 2) this.#outView.setUint16(this.#outLength, value);
    else this.#outView.setUint32(this.#outLength, value);
    this.#outLength += width;
  }

  #value(at: number, width: AccessWidth): number {
    return width === 1 ? this.#in[at] : width === 2 ? this.#inView.getUint16(at) : this.#inView.getUint32(at);
  }

  /**
   * Sends the request and takes its answer. @param length bytes after the first one.
   * @param preceded an answer of one byte comes before it. @returns where the bytes are.
   */
  #exchange(length: number, what: string, address = 0, preceded = false): number {
    const start = performance.now();
    this.#roundTrips++;
    try {
      this.#line.send(this.#out, this.#outLength, this.#timeout);
    } catch (error) {
      throw this.#fail(`fs-uae takes no more requests (${(error as Error).message})`);
    }
    this.#bytesSent += this.#outLength;
    try {
      for (let answer = preceded ? 0 : 1; answer < 2; answer++) {
        this.#receive(1, this.#timeout);
        if (this.#in[0] === Answer.Exception) {
          this.#receive(8, this.#timeout);
          throw new ProcessorException(
            this.#inView.getUint32(0) / 4,
            this.#inView.getUint32(4),
            requestAt(what, address),
          );
        }
        if (this.#in[0] !== Answer.Done) {
          throw this.#fail(`the monitor answered ${hex(this.#in[0], 2)} to ${requestAt(what, address)}`);
        }
      }
      this.#receive(length, this.#timeout, 1);
    } catch (error) {
      if (error instanceof TimeoutProblem) {
        throw this.#fail(`the monitor did not answer ${requestAt(what, address)} within ${this.#timeout} ms`);
      }
      throw error;
    }
    this.#milliseconds += performance.now() - start;
    return 1;
  }

  /** Receives exactly that many bytes to `at`; what came of an answer that is not complete yet is kept. */
  #receive(length: number, milliseconds: number, at = 0): void {
    const end = performance.now() + milliseconds;
    for (let done = this.#kept; done < length; ) {
      const target = this.#in.subarray(at + done, at + length);
      let received: number;
      try {
        received = this.#line.receive(target, Math.max(end - performance.now(), 0));
      } catch (error) {
        throw this.#fail(`fs-uae's serial line broke (${(error as Error).message})`);
      }
      if (received === 0) throw this.#fail("fs-uae ended");
      if (received < 0) {
        this.#kept = done;
        throw new TimeoutProblem();
      }
      this.#bytesReceived += received;
      done += received;
    }
    this.#kept = 0;
  }

  #checkGreeting(at: number): void {
    const words = String.fromCharCode(...this.#in.subarray(at, at + monitorGreeting.length));
    if (words !== monitorGreeting) throw this.#fail(`the monitor began with ${JSON.stringify(words)}`);
  }

  #fail(what: string): FsUaeError {
    const words = this.#lastWords();
    return (this.#failure = new FsUaeError(words === "" ? what : `${what}; its last words: ${words}`));
  }
}

function requestAt(what: string, address: number): string {
  return `${what} ${hex(address, 8)}`;
}

/** Nothing came in time; whoever asked knows what that means. */
class TimeoutProblem extends Error {}
