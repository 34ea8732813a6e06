/** What the device writes into the buffers of the event queue, virtio 1.2 §5.6.6.3, as a driver reads it. */
import type { Endianness } from "../../bytes/index.js";
import { decodeVirtioLun, lunOf, targetOf } from "../../scsi/index.js";
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

/** Bytes of an event buffer, where a device asks for so many; a hostile one could ask for any size. */
export function eventBufferSize(wanted: number): number {
  return Math.min(Math.max(wanted, eventStructure.size), 4096);
}

/** What the device wrote into a buffer; undefined when it is too short to be an event. */
export function decodeEvent(bytes: Uint8Array, endianness: Endianness): ScsiEventReport | undefined {
  if (bytes.length < 4) return undefined;
  const structure = new Uint8Array(eventStructure.size);
  structure.set(bytes.subarray(0, structure.length));
  const raw = eventStructure.read(new DataView(structure.buffer), 0, endianness);
  const code = raw.event & ~eventsMissed;
  const address = decodeVirtioLun(raw.lun);
  const named = code !== ScsiEvent.None && address !== undefined;
  return {
    kind: eventKind(code, raw.reason),
    target: named ? targetOf(address) : undefined,
    lun: named ? lunOf(address) : undefined,
    reason: raw.reason,
    missed: (raw.event & eventsMissed) !== 0,
  };
}

function eventKind(code: number, reason: number): ScsiEventReport["kind"] {
  if (code === ScsiEvent.None) return "none";
  if (code === ScsiEvent.AsyncNotify) return "async";
  if (code === ScsiEvent.ParameterChange) return "parameter";
  if (code === ScsiEvent.TransportReset) return transportResetKinds[reason] ?? "unknown";
  return "unknown";
}
