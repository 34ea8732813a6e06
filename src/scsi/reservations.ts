/**
 * The reservations of one unit: persistent ones (SPC-4 §5.12), and those of RESERVE(6) and (10) (SPC-2 §5.5.1), of which
 * only one kind is there at a time. Says who may do what, and carries changes out one after the other.
 */
import type { SavedFields, SavedReader } from "../bytes/index.js";
import type { Nexus } from "./nexus.js";
import { type AccessRule, accessRuleFor } from "./reservation-access.js";
import { type ReserveOutOutcome, type ReserveOutRequest, reserveOut } from "./reservation-changes.js";
import {
  keptReservations,
  type ReservationKeeper,
  reservationsAsText,
  reservationsFromText,
} from "./reservation-keeper.js";
import {
  isForRegistrants,
  isHolder,
  isWriteExclusive,
  keyOf,
  noReservations,
  type ReservationState,
} from "./reservation-state.js";

/** A change that is not carried out yet. */
type Done = Extract<ReserveOutOutcome, { kind: "done" }>;

/** The reservations of one unit. */
export class Reservations {
  readonly keeper: ReservationKeeper | undefined;
  /** A reservation is there: commands have to ask {@link Reservations.allows}. */
  isRestricting = false;
  #state: ReservationState = noReservations;
  /** Who holds the unit by RESERVE(6) or (10). */
  #legacyHolder: Nexus | undefined;
  /** The change that is being written; the next one waits for it. */
  #writing: Promise<void> | undefined;
  /** What the keeper has. */
  #keptText: string | undefined;

  /** @throws RangeError when what `keeper` keeps cannot be read. */
  constructor(keeper: ReservationKeeper | undefined) {
    this.keeper = keeper;
    if (keeper !== undefined) this.#become(keptReservations(keeper));
    this.#keptText = this.#state.isKept ? reservationsAsText(this.#state) : undefined;
  }

  /** The persistent reservations. */
  get state(): ReservationState {
    return this.#state;
  }

  /** The nexus that holds the unit by RESERVE(6) or (10). */
  get legacyHolder(): Nexus | undefined {
    return this.#legacyHolder;
  }

  /** Whether `nexus` may carry out a command with these rules. */
  allows(nexus: Nexus, rule: AccessRule, cdb: Uint8Array): boolean {
    if (this.#legacyHolder !== undefined) {
      return this.#legacyHolder === nexus || accessRuleFor(rule, cdb).underReserve6;
    }
    const { reservation } = this.#state;
    if (reservation === undefined || isHolder(this.#state, nexus.initiatorPort)) return true;
    if (isForRegistrants(reservation.type) && keyOf(this.#state, nexus.initiatorPort) !== undefined) return true;
    const { persistent } = accessRuleFor(rule, cdb);
    return persistent === "free" || (persistent === "reads" && isWriteExclusive(reservation.type));
  }

  /**
   * Carries out a PERSISTENT RESERVE OUT. `ended` is called once, when it is safe, unless the keeper fails: then
   * nothing has changed, and the failure is thrown or rejected.
   */
  change(request: ReserveOutRequest, ended: (outcome: ReserveOutOutcome) => void): undefined | Promise<void> {
    // Changes that the keeper answers late go one after the other: each starts from what the one before made.
    if (this.#writing === undefined) return this.#changeNow(request, ended);
    return this.#writing.then(
      () => this.change(request, ended),
      () => this.change(request, ended),
    );
  }

  #changeNow(request: ReserveOutRequest, ended: (outcome: ReserveOutOutcome) => void): undefined | Promise<void> {
    const outcome = reserveOut(this.#state, request);
    const written = outcome.kind === "done" ? this.#keep(outcome) : undefined;
    const finish = () => {
      if (outcome.kind === "done") this.#become(outcome.state);
      ended(outcome);
    };
    if (written === undefined) {
      finish();
      return undefined;
    }
    const writing = written.then(finish).finally(() => {
      this.#writing = undefined;
    });
    this.#writing = writing;
    return writing;
  }

  #keep({ state }: Done): undefined | Promise<void> {
    if (this.keeper === undefined || (!state.isKept && this.#keptText === undefined)) return undefined;
    const text = reservationsAsText(state);
    if (text === this.#keptText) return undefined;
    const answer = this.keeper.write(text);
    if (answer === undefined) {
      this.#keptText = text;
      return undefined;
    }
    return answer.then(() => {
      this.#keptText = text;
    });
  }

  #become(state: ReservationState): void {
    this.#state = state;
    this.#restrict();
  }

  /** RESERVE(6): false when the unit is another's, or persistent reservations are there (SPC-4 §5.12.3). */
  reserveLegacy(nexus: Nexus): boolean {
    if (this.#state.registrations.length > 0) return this.#mayUseLegacy(nexus);
    if (this.#legacyHolder !== undefined && this.#legacyHolder !== nexus) return false;
    this.#legacyHolder = nexus;
    this.#restrict();
    return true;
  }

  /** RELEASE(6): of somebody else's reservation it does nothing; false under persistent reservations. */
  releaseLegacy(nexus: Nexus): boolean {
    if (this.#state.registrations.length > 0) return this.#mayUseLegacy(nexus);
    if (this.#legacyHolder === nexus) this.endLegacy();
    return true;
  }

  /** CRH: who holds the persistent reservation, or is let in by it, gets GOOD and nothing happens. */
  #mayUseLegacy({ initiatorPort }: Nexus): boolean {
    const { reservation } = this.#state;
    if (reservation === undefined) return false;
    const isRegistered = keyOf(this.#state, initiatorPort) !== undefined;
    return isHolder(this.#state, initiatorPort) || (isRegistered && isForRegistrants(reservation.type));
  }

  /** A reset ends a reservation of RESERVE(6), the loss of a nexus its own. Persistent ones stay. */
  endLegacy(nexus?: Nexus): void {
    if (nexus !== undefined && nexus !== this.#legacyHolder) return;
    this.#legacyHolder = undefined;
    this.#restrict();
  }

  /** For a snapshot. What the keeper keeps is not in it: like the medium, it is there or it is not. */
  save(nexus: Nexus): SavedFields {
    const { generation, isKept } = this.#state;
    const persistent = isKept ? undefined : reservationsAsText({ ...this.#state, isKept: true });
    return { generation, persistent, isReserved: this.#legacyHolder === nexus };
  }

  /** Reads what {@link Reservations.save} gave, and gives the step that puts it in force. @throws RangeError */
  read(saved: SavedReader, nexus: Nexus): () => void {
    const generation = saved.whole("generation", 0xffff_ffff);
    const isReserved = saved.flag("isReserved");
    const persistent = saved.has("persistent") ? readPersistent(saved) : noReservations;
    if (isReserved && persistent.registrations.length > 0) saved.refuse("isReserved", "is set beside registrations");
    return () => {
      this.#state = { ...(this.#state.isKept ? this.#state : persistent), generation };
      const isFree = this.#state.registrations.length === 0;
      if (isReserved && isFree) this.#legacyHolder = nexus;
      else if (!isFree || this.#legacyHolder === nexus) this.#legacyHolder = undefined;
      this.#restrict();
    };
  }

  #restrict(): void {
    this.isRestricting = this.#legacyHolder !== undefined || this.#state.reservation !== undefined;
  }
}

function readPersistent(saved: SavedReader): ReservationState {
  try {
    return { ...reservationsFromText(saved.text("persistent")), isKept: false };
  } catch (error) {
    return saved.refuse("persistent", `cannot be read: ${(error as Error).message}`);
  }
}
