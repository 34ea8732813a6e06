/**
 * QEMU's qtest protocol, spoken synchronously: text lines over a Unix socket, one answer for each command, and lines
 * `IRQ raise N` / `IRQ lower N` at any time. One access costs 20 to 70 µs, so drivers should count theirs.
 */
import type { AccessWidth, Endianness, RegisterWindow } from "../../bytes/index.js";
import { windowOf } from "../../bytes/index.js";
import type { UnixSocket } from "../../linux/index.js";
import { QemuError } from "./qemu-error.js";

/** An answer longer than this is not one. */
const longestLine = 1 << 20;
/** Bytes in one `read` or `write` command. */
const bulkStep = 16 * 1024;
const memorySuffix = { 1: "b", 2: "w", 4: "l" } as const;
const newline = 0x0a;

/** How a qtest connection behaves. */
export interface QtestOptions {
  /** How long QEMU may take for one answer. Default 10 000 ms. */
  readonly timeout?: number;
  /** What to add to an error: QEMU's last words. */
  readonly lastWords?: () => string;
}

/** A connection to the qtest server of one QEMU. */
export class QtestClient {
  readonly #socket: UnixSocket;
  readonly #timeout: number;
  readonly #lastWords: () => string;
  readonly #received = Buffer.alloc(64 * 1024);
  readonly #outgoing = Buffer.alloc(4 * bulkStep);
  #pending = "";
  #failure: QemuError | undefined;
  #bigEndian = false;
  readonly #levels = new Map<number, boolean>();
  readonly #raised = new Set<number>();
  /** Commands sent so far. */
  accesses = 0;

  /** Takes over a socket that QEMU has connected to. */
  constructor(socket: UnixSocket, options: QtestOptions = {}) {
    this.#socket = socket;
    this.#timeout = options.timeout ?? 10_000;
    this.#lastWords = options.lastWords ?? (() => "");
    this.#bigEndian = this.command("endianness").trim() === "big";
  }

  /** The target processor's byte order. */
  get endianness(): Endianness {
    return this.#bigEndian ? "big" : "little";
  }

  /** QEMU ended, hung or talked nonsense; no command works any more. */
  get isBroken(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * Sends one command and waits for its answer.
   * @returns what stands after `OK`, without the space. Interrupt lines that come before it are kept.
   * @throws QemuError when QEMU refuses the command, ended, or does not answer within the time limit.
   */
  command(text: string): string {
    if (this.#failure !== undefined) throw this.#failure;
    this.accesses++;
    const length = this.#outgoing.write(`${text}\n`, "latin1");
    if (length !== text.length + 1) throw new RangeError("the qtest command is too long");
    try {
      this.#socket.send(this.#outgoing, length, this.#timeout);
    } catch (error) {
      throw this.#fail(`QEMU takes no more commands (${(error as Error).message})`);
    }
    const end = performance.now() + this.#timeout;
    for (;;) {
      const line = this.#takeLine();
      if (line === undefined) {
        this.#receive(end - performance.now(), text);
      } else if (line.startsWith("OK")) return line.slice(3);
      else if (!this.#takeInterrupt(line))
        throw new QemuError(`QEMU refused "${text.slice(0, 80)}": ${line.slice(0, 200)}`);
    }
  }

  /** Takes in interrupt lines that have arrived, without waiting. @throws QemuError when QEMU has ended. */
  poll(): void {
    if (this.#failure !== undefined) throw this.#failure;
    // What came behind the last answer is already here.
    do {
      for (let line = this.#takeLine(); line !== undefined; line = this.#takeLine()) {
        if (!this.#takeInterrupt(line)) throw this.#fail(`QEMU sent "${line.slice(0, 80)}" without being asked`);
      }
    } while (this.#receiveNow());
  }

  /** Sends the inputs of an interrupt controller (a path in QEMU's object tree) here instead of there. One per QEMU. */
  interceptInputs(path: string): void {
    this.command(`irq_intercept_in ${path}`);
  }

  /** The level of an intercepted line now, as far as QEMU has told. */
  lineLevel(line: number): boolean {
    return this.#levels.get(line) ?? false;
  }

  /** True once for each time (or several) that the line was raised since this was last asked. */
  takeRaised(line: number): boolean {
    return this.#raised.delete(line);
  }

  /** The processor's memory space as registers of little-endian devices. */
  memorySpace(): RegisterWindow {
    return windowOf(
      (address, width) => this.#swap(this.#value(`read${memorySuffix[width]} 0x${address.toString(16)}`), width),
      (address, width, value) => {
        const word = this.#swap(value, width).toString(16);
        this.command(`write${memorySuffix[width]} 0x${address.toString(16)} 0x${word}`);
      },
    );
  }

  /** Port I/O of an x86 target. */
  portSpace(): RegisterWindow {
    return windowOf(
      (port, width) => this.#value(`in${memorySuffix[width]} 0x${port.toString(16)}`) >>> 0,
      (port, width, value) => {
        this.command(`out${memorySuffix[width]} 0x${port.toString(16)} 0x${(value >>> 0).toString(16)}`);
      },
    );
  }

  /** The 64-bit word at `address`, in the target's byte order. */
  read64(address: number): bigint {
    return BigInt(this.command(`readq 0x${address.toString(16)}`));
  }

  /** Writes a 64-bit word in the target's byte order. */
  write64(address: number, value: bigint): void {
    this.command(`writeq 0x${address.toString(16)} 0x${BigInt.asUintN(64, value).toString(16)}`);
  }

  /** Bytes as they lie in the target's memory. */
  readBytes(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; done += bulkStep) {
      const step = Math.min(bulkStep, length - done);
      const answer = this.command(`read 0x${(address + done).toString(16)} 0x${step.toString(16)}`);
      const part = Buffer.from(answer.slice(2), "hex");
      if (part.length !== step) throw this.#fail(`QEMU answered ${part.length} bytes where ${step} were read`);
      bytes.set(part, done);
    }
    return bytes;
  }

  /** Writes bytes as they are to lie in the target's memory. */
  writeBytes(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; done += bulkStep) {
      const part = Buffer.from(bytes.subarray(done, done + bulkStep));
      this.command(`write 0x${(address + done).toString(16)} 0x${part.length.toString(16)} 0x${part.toString("hex")}`);
    }
  }

  /** Ends the connection; later commands fail. */
  close(): void {
    this.#failure ??= new QemuError("the machine is closed");
    this.#socket.close();
  }

  #value(command: string): number {
    const answer = this.command(command);
    const value = Number(answer);
    if (answer === "" || !Number.isFinite(value))
      throw this.#fail(`QEMU answered "${answer.slice(0, 80)}" to "${command}"`);
    return value;
  }

  #swap(value: number, width: AccessWidth): number {
    if (!this.#bigEndian || width === 1) return value >>> 0;
    if (width === 2) return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
    return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | ((value >>> 24) & 0xff)) >>> 0;
  }

  #takeLine(): string | undefined {
    const end = this.#pending.indexOf("\n");
    if (end < 0) return undefined;
    const line = this.#pending.slice(0, end);
    this.#pending = this.#pending.slice(end + 1);
    return line;
  }

  #takeInterrupt(line: string): boolean {
    const match = /^IRQ (raise|lower) (\d{1,4})$/.exec(line);
    if (match === null) return false;
    const number = Number(match[2]);
    const raised = match[1] === "raise";
    this.#levels.set(number, raised);
    if (raised) this.#raised.add(number);
    return true;
  }

  #receive(milliseconds: number, command: string): void {
    let length: number;
    try {
      length = this.#socket.receive(this.#received, Math.max(milliseconds, 1));
    } catch (error) {
      throw this.#fail(`QEMU's connection broke (${(error as Error).message})`);
    }
    if (length === 0) throw this.#fail("QEMU ended");
    if (length < 0) throw this.#fail(`QEMU did not answer "${command.slice(0, 80)}" within ${this.#timeout} ms`);
    this.#append(length);
  }

  #receiveNow(): boolean {
    let length: number;
    try {
      length = this.#socket.receive(this.#received, 0);
    } catch (error) {
      throw this.#fail(`QEMU's connection broke (${(error as Error).message})`);
    }
    if (length === 0) throw this.#fail("QEMU ended");
    if (length < 0) return false;
    this.#append(length);
    return true;
  }

  #append(length: number): void {
    if (this.#received[length - 1] === newline && this.#pending === "") {
      this.#pending = this.#received.toString("latin1", 0, length);
      return;
    }
    this.#pending += this.#received.toString("latin1", 0, length);
    if (this.#pending.length > longestLine && !this.#pending.includes("\n"))
      throw this.#fail("QEMU sent a line without end");
  }

  #fail(what: string): QemuError {
    const words = this.#lastWords();
    return (this.#failure = new QemuError(words === "" ? what : `${what}; its last words: ${words}`));
  }
}
