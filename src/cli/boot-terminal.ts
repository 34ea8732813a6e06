/**
 * The PC's serial line on the terminal or on pipes. On a terminal every key goes to the guest, Ctrl-C too; Ctrl-A X leaves,
 * and Ctrl-A twice is one Ctrl-A.
 */
import type { V86Emulator } from "../platform/v86/index.js";

const controlA = 0x01;
const leave = new Set([..."xX"].map((letter) => letter.charCodeAt(0)));
/** Bytes that are sent at once, and then a pause: the serial port's buffer in the guest is small. */
const burst = 16;
const pause = 4;

/** The line while it is connected. */
export class BootTerminal {
  /** Done when the user wants to leave. */
  readonly left: Promise<void>;
  readonly #emulator: V86Emulator;
  readonly #output: (byte: number) => void;
  readonly #input: (bytes: Uint8Array) => void;
  readonly #isRaw: boolean;
  readonly #queue: number[] = [];
  #leave: () => void = () => {};
  #escaped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pending: number[] = [];
  #flushing = false;

  constructor(emulator: V86Emulator) {
    this.#emulator = emulator;
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
    this.#output = (byte) => this.#print(byte);
    this.#input = (bytes) => this.#type(bytes);
    emulator.add_listener("serial0-output-byte", this.#output as (argument: never) => void);
    const { stdin } = process;
    this.#isRaw = stdin.isTTY === true;
    if (this.#isRaw) stdin.setRawMode(true);
    stdin.on("data", this.#input);
    stdin.on("error", () => {});
    stdin.resume();
  }

  /** Prints what came, and gives the terminal back as it was. */
  close(): void {
    this.#emulator.remove_listener("serial0-output-byte", this.#output as (argument: never) => void);
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.flush();
    const { stdin } = process;
    stdin.off("data", this.#input);
    if (this.#isRaw) stdin.setRawMode(false);
    stdin.pause();
  }

  /** Writes what was collected. */
  flush(): void {
    this.#flushing = false;
    if (this.#pending.length === 0) return;
    const bytes = Uint8Array.from(this.#pending);
    this.#pending = [];
    process.stdout.write(bytes);
  }

  #print(byte: number): void {
    this.#pending.push(byte);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => this.flush());
  }

  #type(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#isRaw && this.#escaped) {
        this.#escaped = false;
        if (leave.has(byte)) {
          this.#leave();
          return;
        }
        if (byte !== controlA) continue;
      } else if (this.#isRaw && byte === controlA) {
        this.#escaped = true;
        continue;
      }
      this.#queue.push(byte);
    }
    this.#send();
  }

  #send(): void {
    if (this.#timer !== undefined || this.#queue.length === 0) return;
    this.#emulator.serial_send_bytes(0, Uint8Array.from(this.#queue.splice(0, burst)));
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#send();
    }, pause);
  }
}
