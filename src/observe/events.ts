/**
 * What happens, told to whoever looks. A room that has something to tell holds `observer: Observer | undefined` and
 * asks `if (observer !== undefined)` before it makes an event: with nobody looking, that branch is the whole cost.
 */
export const traceCategories = ["registers", "ring", "scsi", "block", "violation", "fault"] as const;

/** A kind of event that an observer can choose. */
export type TraceCategory = (typeof traceCategories)[number];

/** One thing that happened. */
export interface TraceEvent {
  readonly category: TraceCategory;
  /** Who tells: a transport, a queue, a unit (`pci-modern`, `queue 2`, `target 0 lun 0`). */
  readonly source: string;
  /** What happened: `read`, `write`, `descriptor`, `command`, or the code of a violation. */
  readonly name: string;
  /** Named values; numbers are printed in hexadecimal from 10 on. */
  readonly fields: Readonly<Record<string, number | bigint | string | boolean>>;
}

/** Who is told of events. */
export interface Observer {
  emit(event: TraceEvent): void;
}

/** One line of text for an event. */
export function formatEvent(event: TraceEvent): string {
  const fields = Object.entries(event.fields).map(([name, value]) => `${name}=${formatValue(value)}`);
  return [`[${event.category}]`, event.source, event.name, ...fields].join(" ");
}

function formatValue(value: number | bigint | string | boolean): string {
  if (typeof value === "number" || typeof value === "bigint")
    return value < 10 ? `${value}` : `0x${value.toString(16)}`;
  return `${value}`;
}

/** Passes on the events of the given categories only. */
export function observeOnly(categories: readonly TraceCategory[], emit: (event: TraceEvent) => void): Observer {
  const wanted = new Set(categories);
  return {
    emit(event) {
      if (wanted.has(event.category)) emit(event);
    },
  };
}
