/** What happened at a drive, for GET EVENT STATUS NOTIFICATION: each initiator hears of each event once. */
import type { Nexus } from "./nexus.js";

/** MMC-5 table 285, media events. */
export const MediaEvent = { None: 0, EjectRequest: 1, NewMedia: 2, MediaRemoval: 3 } as const;

/** The events of one drive. */
export class CdEvents {
  /** The last event of each sort, with its number. */
  #last: { readonly number: number; readonly event: number } = { number: 0, event: MediaEvent.None };
  #number = 0;
  /** The number of the last event that a nexus heard of. */
  readonly #heard = new WeakMap<Nexus, number>();

  /** A medium came or went. */
  mediumChanged(change: "inserted" | "removed"): void {
    this.#add(change === "inserted" ? MediaEvent.NewMedia : MediaEvent.MediaRemoval);
  }

  /** The host wants the medium back, and an initiator has locked the tray. */
  ejectRequested(): void {
    this.#add(MediaEvent.EjectRequest);
  }

  /** The latest event that `nexus` has not heard of. */
  take(nexus: Nexus): number {
    if ((this.#heard.get(nexus) ?? 0) >= this.#last.number) return MediaEvent.None;
    this.#heard.set(nexus, this.#last.number);
    return this.#last.event;
  }

  #add(event: number): void {
    this.#last = { number: ++this.#number, event };
  }
}
