/** How work that waits for the medium is done without holding up its caller: by the kernel, or by other threads. */

/** What can be asked for. */
export const SlowOperation = { Read: 0, Write: 1, Sync: 2 } as const;
export type SlowOperation = (typeof SlowOperation)[keyof typeof SlowOperation];

/** What moves data. */
export type Transfer = typeof SlowOperation.Read | typeof SlowOperation.Write;

/** Told when an operation ended: a count of bytes, or a negative error number. */
export type SlowEnded = (slot: number, result: number) => void;

/** Operations on one open file. */
export interface SlowLane {
  readonly name: "io_uring" | "threads";
  /**
   * Begins an operation; its end is told by an event of the loop, never from inside this call.
   * @param address of the vectors in this process; they stay as they are until the end. @param slot comes back.
   */
  begin(operation: Transfer, position: number, address: number, vectors: number, slot: number): void;
  /** Nothing is under way any more. */
  close(): void;
}
