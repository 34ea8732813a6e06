/** What persistent reservations are made of (SPC-4 §5.12): registrations, a reservation, a generation. Values only. */

/** SPC-4 table 200, types. */
export const ReservationType = {
  WriteExclusive: 1,
  ExclusiveAccess: 3,
  WriteExclusiveRegistrantsOnly: 5,
  ExclusiveAccessRegistrantsOnly: 6,
  WriteExclusiveAllRegistrants: 7,
  ExclusiveAccessAllRegistrants: 8,
} as const;

/** One of the six types. */
export type ReservationType = (typeof ReservationType)[keyof typeof ReservationType];

const types: readonly number[] = Object.values(ReservationType);

/** Whether a number is one of the six types. */
export function isReservationType(type: number): type is ReservationType {
  return types.includes(type);
}

/** Every registrant holds the reservation. */
export function isAllRegistrants(type: ReservationType): boolean {
  return type >= ReservationType.WriteExclusiveAllRegistrants;
}

/** Those who are registered have access, not the holder alone. */
export function isForRegistrants(type: ReservationType): boolean {
  return type >= ReservationType.WriteExclusiveRegistrantsOnly;
}

/** Everybody may read. */
export function isWriteExclusive(type: ReservationType): boolean {
  const { WriteExclusive, WriteExclusiveRegistrantsOnly, WriteExclusiveAllRegistrants } = ReservationType;
  return type === WriteExclusive || type === WriteExclusiveRegistrantsOnly || type === WriteExclusiveAllRegistrants;
}

/** An initiator port with its key. */
export interface Registration {
  /** `Nexus.initiatorPort`. */
  readonly port: string;
  /** 64 bits as 16 hexadecimal digits, lower case; never all zero. */
  readonly key: string;
}

/** The reservation of a unit. */
export interface Reservation {
  readonly type: ReservationType;
  /** The initiator port that holds it; undefined when all registrants do. */
  readonly holder: string | undefined;
}

/** The reservations of one unit at one moment. */
export interface ReservationState {
  /** PRGENERATION. */
  readonly generation: number;
  readonly registrations: readonly Registration[];
  readonly reservation: Reservation | undefined;
  /** APTPL of the last REGISTER: all of this is kept over a restart. */
  readonly isKept: boolean;
}

/** The key that stands for none. */
export const noKey = "0000000000000000";

/** Registrations that a unit takes; one more is refused with 55h/04h. */
export const registrationLimit = 256;

/** A unit that nobody has registered with. */
export const noReservations: ReservationState = {
  generation: 0,
  registrations: [],
  reservation: undefined,
  isKept: false,
};

/** The key with which `port` is registered, or undefined. */
export function keyOf(state: ReservationState, port: string): string | undefined {
  return state.registrations.find((found) => found.port === port)?.key;
}

/** Whether `port` holds the reservation. */
export function isHolder(state: ReservationState, port: string): boolean {
  const { reservation } = state;
  if (reservation === undefined) return false;
  return isAllRegistrants(reservation.type) ? keyOf(state, port) !== undefined : reservation.holder === port;
}
