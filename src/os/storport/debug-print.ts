/** Debug print (`RhelDbgPrint`): messages with a level, to whoever listens or, byte by byte, to the COM1 port. */
import type { RegisterWindow } from "../../bytes/index.js";

/** Levels; a message prints when its level is at most the one that is set. */
export const TraceLevel = { None: 0, Fatal: 1, Error: 2, Warning: 3, Information: 4, Verbose: 5 } as const;

/** Who gets what is printed: bytes of ASCII text, CR LF at line ends. */
export interface DebugSink {
  write(bytes: Uint8Array): void;
}

/** Bytes of a message, as the driver formats it. */
const bufferSize = 512;
/** What shows in place of a message that does not fit. */
const overflow = "O\n";

/** Prints to a sink. */
export class DebugPrint {
  /** `RhelDbgLevel`. */
  level: number;
  readonly #sink: DebugSink | undefined;

  /** @throws RangeError for a level that is none. */
  constructor(level: number = TraceLevel.None, sink?: DebugSink) {
    if (!Number.isInteger(level) || level < 0 || level > TraceLevel.Verbose) {
      throw new RangeError(`the debug level is 0 (none) to 5 (verbose), got ${level}`);
    }
    this.level = level;
    this.#sink = sink;
  }

  /** Whether a message of this level prints: ask before a text is made. */
  prints(level: number): boolean {
    return this.#sink !== undefined && level !== TraceLevel.None && level <= this.level;
  }

  /** Prints one message, a line unless it does not fit its buffer. */
  print(level: number, text: string): void {
    if (this.prints(level)) this.#sink?.write(rhelDbgPrintToComPort(`${text}\n`));
  }
}

/** `RhelDbgPrintToComPort`, its first half: the bytes of a message; a CR goes before each line feed. */
export function rhelDbgPrintToComPort(text: string): Uint8Array {
  const shown = text.length >= bufferSize ? overflow : text;
  const bytes: number[] = [];
  for (const character of shown) {
    const code = character.charCodeAt(0);
    if (code === 0x0a) bytes.push(0x0d);
    bytes.push(code < 0x80 ? code : 0x3f);
  }
  return Uint8Array.from(bytes);
}

/** First I/O port of COM1. */
export const com1Base = 0x3f8;
const lineStatus = 5;
const transmitterEmpty = 0x20;
/** Looks at the line status before a byte is written all the same: a port without a UART reads all ones or zeros. */
const patience = 1000;

/** The COM1 port of a machine as a sink, its second half. */
export function com1Sink(ports: RegisterWindow): DebugSink {
  return {
    write(bytes) {
      for (const byte of bytes) {
        for (let look = 0; look < patience; look++) {
          if ((ports.read8(com1Base + lineStatus) & transmitterEmpty) !== 0) break;
        }
        ports.write8(com1Base, byte);
      }
    },
  };
}
