import { exceptionName } from "./monitor-protocol.js";

/** fs-uae could not be started, ended, hung or talked nonsense. One line that says which, with its own last words. */
export class FsUaeError extends Error {
  override readonly name: string = "FsUaeError";
}

/** The emulated processor took an exception while it carried out a request. The monitor goes on. */
export class ProcessorException extends FsUaeError {
  override readonly name = "ProcessorException";
  /** Number of the vector: 2 is a bus error. */
  readonly vector: number;
  /** Address that the processor put into its stack frame. */
  readonly programCounter: number;

  constructor(vector: number, programCounter: number, request: string) {
    super(`${exceptionName(vector)} at ${request} (program counter 0x${programCounter.toString(16)})`);
    this.vector = vector;
    this.programCounter = programCounter;
  }
}
