/** What happened at a drive, for GET EVENT STATUS NOTIFICATION: each initiator hears of each event once. */
import type { SavedFields, SavedReader } from "../bytes/index.js";
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

  /** For a snapshot: the last event, and whether `nexus` heard of it. */
  save(nexus: Nexus): SavedFields {
    const { number, event } = this.#last;
    return { number, event, heard: Math.min(this.#heard.get(nexus) ?? 0, number) };
  }

  /** Reads what {@link CdEvents.save} gave, and gives the step that puts it in force. @throws RangeError */
  read(saved: SavedReader, nexus: Nexus): () => void {
    const number = saved.whole("number", Number.MAX_SAFE_INTEGER);
    const event = saved.whole("event", MediaEvent.MediaRemoval);
    const heard = saved.whole("heard", number);
    return () => {
      this.#number = number;
      this.#last = { number, event };
      this.#heard.set(nexus, heard);
    };
  }

  #add(event: number): void {
    this.#last = { number: ++this.#number, event };
  }
}
