/**
 * What all file descriptors share: closing, and waiting with a time limit.
 */
import { libcFunction } from "./libc.js";
import { systemCallError, wasInterrupted } from "./system-error.js";

const closeCall = libcFunction("int close(int)");
const pollCall = libcFunction("int poll(void *, unsigned long, int)");

/** `poll` events. */
export const pollEvents = { readable: 0x1, writable: 0x4 } as const;

/** Closes a descriptor. The number is free afterwards even when the call reports an error (Linux). */
export function closeDescriptor(descriptor: number): void {
  closeCall()(descriptor);
}

/** Waits for one descriptor; keeps its own `pollfd`, so that waiting allocates nothing. */
export class DescriptorWaiter {
  readonly #fields = new Int16Array(4);

  constructor(descriptor: number) {
    new Int32Array(this.#fields.buffer)[0] = descriptor;
  }

  /**
   * Blocks this thread until the descriptor is ready, has failed or was closed by its peer.
   * @param events of {@link pollEvents}. @param milliseconds 0 only looks, -1 waits for ever.
   * @returns false when the time ran out.
   * @throws SystemCallError
   */
  wait(events: number, milliseconds: number): boolean {
    const end = milliseconds > 0 ? performance.now() + milliseconds : 0;
    let left = milliseconds;
    for (;;) {
      this.#fields[2] = events;
      this.#fields[3] = 0;
      const ready: number = pollCall()(this.#fields, 1, Math.ceil(left));
      if (ready > 0) return true;
      if (ready === 0) return false;
      if (!wasInterrupted()) throw systemCallError("poll");
      if (milliseconds > 0) left = Math.max(0, end - performance.now());
    }
  }
}
