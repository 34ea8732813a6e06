/** The event queue, driver half: buffers for the device to write events into, virtio 1.2 §5.6.6.3. */
import { blockBytes, type DmaBlock } from "../../memory/index.js";
import { decodeVirtioLun, lunOf, targetOf } from "../../scsi/index.js";
import type { DriverLink } from "../../transport/index.js";
import { ChainPieces, type QueueDriver } from "../../virtqueue/index.js";
import { eventStructure, eventsMissed, ScsiEvent, TransportResetReason } from "./protocol.js";

/** An event in words. */
export interface ScsiEventReport {
  readonly kind: "none" | "reset" | "rescan" | "removed" | "async" | "parameter" | "unknown";
  /** Undefined when the event names no unit. */
  readonly target: number | undefined;
  readonly lun: number | undefined;
  /** Raw reason: `AsyncEvent` bits of an `async`, sense code (asc, ascq << 8) of a `parameter` event. */
  readonly reason: number;
  /** At least one event was lost before this one: look at the units again. */
  readonly missed: boolean;
}

/** Who is told of events. */
export type ScsiEventListener = (event: ScsiEventReport) => void;

const transportResetKinds: Readonly<Record<number, ScsiEventReport["kind"]>> = {
  [TransportResetReason.Hard]: "reset",
  [TransportResetReason.Rescan]: "rescan",
  [TransportResetReason.Removed]: "removed",
};

/** The event queue of one driver. */
export class EventReceiver {
  readonly #link: DriverLink;
  readonly #queue: QueueDriver<number>;
  readonly #block: DmaBlock;
  readonly #bufferSize: number;
  readonly #count: number;
  readonly #pieces = new ChainPieces();
  readonly #listeners = new Set<ScsiEventListener>();

  /** @param bufferSize event_info_size of the device; at least the structure's 16 bytes are given. */
  constructor(link: DriverLink, queue: QueueDriver<number>, count: number, bufferSize: number) {
    this.#link = link;
    this.#queue = queue;
    this.#count = Math.min(count, queue.size);
    // A hostile device could ask for buffers of any size.
    this.#bufferSize = Math.min(Math.max(bufferSize, eventStructure.size), 4096);
    this.#block = link.transport.dma.allocate(this.#count * this.#bufferSize, 16);
  }

  /** Gives the device all buffers; call it after DRIVER_OK. */
  start(): void {
    for (let buffer = 0; buffer < this.#count; buffer++) this.#give(buffer);
    this.#publish();
  }

  listen(listener: ScsiEventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  poll(): void {
    do {
      for (let buffer = this.#queue.reap(); buffer !== undefined; buffer = this.#queue.reap()) {
        const event = this.#decode(buffer, this.#queue.usedLength);
        this.#give(buffer);
        if (event !== undefined) for (const listener of this.#listeners) listener(event);
      }
      this.#publish();
    } while (!this.#queue.enableInterrupts());
  }

  /** After a reset. Memory that the device may still write to is kept. */
  close(keepsMemory: boolean): void {
    this.#queue.detachAll(keepsMemory);
    if (!keepsMemory) this.#link.transport.dma.free(this.#block);
  }

  #give(buffer: number): void {
    const at = buffer * this.#bufferSize;
    blockBytes(this.#block).fill(0, at, at + this.#bufferSize);
    this.#pieces.clear();
    this.#pieces.addWritable(this.#block.address + at, this.#bufferSize);
    this.#queue.add(this.#pieces, buffer);
  }

  #publish(): void {
    if (this.#queue.publish()) this.#link.transport.notify(this.#queue.index);
  }

  #decode(buffer: number, length: number): ScsiEventReport | undefined {
    if (length < 4) return undefined;
    const { region, offset } = this.#block;
    const at = offset + buffer * this.#bufferSize;
    const raw = eventStructure.read(region.view, at, this.#link.transport.endianness);
    const missed = (raw.event & eventsMissed) !== 0;
    const code = raw.event & ~eventsMissed;
    const address = decodeVirtioLun(raw.lun);
    const named = code !== ScsiEvent.None && address !== undefined;
    return {
      kind: eventKind(code, raw.reason),
      target: named ? targetOf(address) : undefined,
      lun: named ? lunOf(address) : undefined,
      reason: raw.reason,
      missed,
    };
  }
}

function eventKind(code: number, reason: number): ScsiEventReport["kind"] {
  if (code === ScsiEvent.None) return "none";
  if (code === ScsiEvent.AsyncNotify) return "async";
  if (code === ScsiEvent.ParameterChange) return "parameter";
  if (code === ScsiEvent.TransportReset) return transportResetKinds[reason] ?? "unknown";
  return "unknown";
}
