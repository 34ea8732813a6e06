/**
 * Failed system calls as errors. They look like Node's own: `code` is `ENOENT` and the like, `syscall` the call.
 */
import { koffi, lastErrorName } from "./libc.js";

/** A system call that failed. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  /** `EACCES`, `ENOENT` … */
  readonly code: string;
  readonly syscall: string;

  constructor(syscall: string, code: string, detail = "") {
    super(`${syscall} failed with ${code}${detail === "" ? "" : ` (${detail})`}`);
    this.code = code;
    this.syscall = syscall;
  }
}

/** The error of the call that just failed. @param detail what it was called for: a path, a size. */
export function systemCallError(syscall: string, detail = ""): SystemCallError {
  return new SystemCallError(syscall, lastErrorName(), detail);
}

/** True when the last call was only interrupted by a signal: call again. */
export function wasInterrupted(): boolean {
  return koffi().errno() === koffi().os.errno["EINTR"];
}

/** True when the last call would have had to wait. */
export function wouldBlock(): boolean {
  return koffi().errno() === koffi().os.errno["EAGAIN"];
}
