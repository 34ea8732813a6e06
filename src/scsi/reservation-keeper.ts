/**
 * Where reservations survive a restart (APTPL, SPC-4 §5.12.5): somebody who keeps one text, and the text. Units write it
 * when reservations change, before the command that changed them is answered, and read it when they are made.
 */
import {
  isAllRegistrants,
  isReservationType,
  noKey,
  noReservations,
  type Registration,
  type ReservationState,
  registrationLimit,
} from "./reservation-state.js";

/** Keeps a text: a file, a cell of a browser's storage, … */
export interface ReservationKeeper {
  /** For messages: a path. */
  readonly description: string;
  /** What was written last; undefined when nothing ever was. Throws when it cannot tell. */
  read(): string | undefined;
  /** Replaces the text. After it answers, the new one survives a power loss; whatever happens, one of the two does. */
  write(text: string): undefined | Promise<void>;
}

/** The text for reservations. Those that are not to be kept give one that says so. */
export function reservationsAsText(state: ReservationState): string {
  const { registrations, reservation } = state.isKept ? state : noReservations;
  const text = JSON.stringify(
    {
      format: "ringside reservations 1",
      registrations: registrations.map(({ port, key }) => ({ initiatorPort: port, key })),
      reservation:
        reservation === undefined ? null : { type: reservation.type, holder: reservation.holder ?? "all registrants" },
    },
    undefined,
    2,
  );
  return `${text}\n`;
}

/**
 * Reads the text of {@link reservationsAsText}. PRGENERATION starts from 0.
 * @throws RangeError with one line when it is not such a text: reservations are never forgotten silently.
 */
export function reservationsFromText(text: string): ReservationState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RangeError("it is no JSON", { cause });
  }
  const { format, registrations, reservation } = asObject(value, "the text");
  if (format !== "ringside reservations 1") throw new RangeError(`its format is ${JSON.stringify(format)}`);
  if (!Array.isArray(registrations) || registrations.length > registrationLimit) {
    throw new RangeError(`registrations must be a list of at most ${registrationLimit}`);
  }
  const list = registrations.map(asRegistration);
  if (new Set(list.map(({ port }) => port)).size < list.length) throw new RangeError("an initiator port comes twice");
  const isKept = list.length > 0;
  return { ...noReservations, registrations: list, reservation: asReservation(reservation, list), isKept };
}

/** What `keeper` keeps. @throws RangeError when it cannot be read; the message names the keeper and says what to do. */
export function keptReservations(keeper: ReservationKeeper): ReservationState {
  try {
    const text = keeper.read();
    return text === undefined ? noReservations : reservationsFromText(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RangeError(
      `the reservations kept in ${keeper.description} cannot be read: ${why}; remove it to give them up`,
      { cause },
    );
  }
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new RangeError(`${what} is no object`);
}

function asRegistration(value: unknown): Registration {
  const { initiatorPort, key } = asObject(value, "a registration");
  if (typeof initiatorPort !== "string" || !/^[\x21-\x7e]{1,250}$/.test(initiatorPort)) {
    throw new RangeError(`${JSON.stringify(initiatorPort)} is no initiator port`);
  }
  if (typeof key !== "string" || !/^[0-9a-f]{16}$/.test(key) || key === noKey) {
    throw new RangeError(`${JSON.stringify(key)} is no key`);
  }
  return { port: initiatorPort, key };
}

function asReservation(value: unknown, registrations: readonly Registration[]): ReservationState["reservation"] {
  if (value === null) return undefined;
  const { type, holder } = asObject(value, "the reservation");
  if (typeof type !== "number" || !isReservationType(type)) throw new RangeError(`${JSON.stringify(type)} is no type`);
  if (isAllRegistrants(type)) {
    if (registrations.length > 0 && holder === "all registrants") return { type, holder: undefined };
  } else if (typeof holder === "string" && registrations.some(({ port }) => port === holder)) return { type, holder };
  throw new RangeError(`${JSON.stringify(holder)} cannot hold a reservation of type ${type}`);
}
