/**
 * PERSISTENT RESERVE OUT as a function from one state to the next (SPC-4 §5.12, §6.16): what it answers, who is told,
 * whose tasks end. Nothing here knows tasks, stores or time.
 */
import type { AttentionCode } from "./logical-unit.js";
import {
  isAllRegistrants,
  isForRegistrants,
  isHolder,
  isReservationType,
  keyOf,
  noKey,
  type Registration,
  type Reservation,
  type ReservationState,
  type ReservationType,
  registrationLimit,
} from "./reservation-state.js";
import { Attentions, Conditions, type SenseCondition } from "./sense-codes.js";

/** Service actions of PERSISTENT RESERVE OUT that are carried out. */
export const ReserveOutAction = {
  Register: 0,
  Reserve: 1,
  Release: 2,
  Clear: 3,
  Preempt: 4,
  PreemptAndAbort: 5,
  RegisterAndIgnoreExistingKey: 6,
} as const;

/** One of them. */
export type ReserveOutAction = (typeof ReserveOutAction)[keyof typeof ReserveOutAction];

/** A PERSISTENT RESERVE OUT. */
export interface ReserveOutRequest {
  readonly action: ReserveOutAction;
  /** Who sends it. */
  readonly port: string;
  /** RESERVATION KEY and SERVICE ACTION RESERVATION KEY, 16 hexadecimal digits. */
  readonly key: string;
  readonly actionKey: string;
  /** TYPE; looked at by RESERVE, RELEASE and PREEMPT. */
  readonly type: number;
  /** APTPL; looked at by the two REGISTER actions. */
  readonly isKept: boolean;
}

/** How it ends. */
export type ReserveOutOutcome =
  | { readonly kind: "conflict" }
  | { readonly kind: "refused"; readonly what: SenseCondition; readonly field?: "type" | "action-key" }
  | {
      readonly kind: "done";
      readonly state: ReservationState;
      /** Unit attentions, by initiator port. */
      readonly tell: readonly { readonly port: string; readonly code: AttentionCode }[];
      /** Initiator ports whose tasks end. */
      readonly abort: readonly string[];
    };

type Done = Extract<ReserveOutOutcome, { kind: "done" }>;

const conflict: ReserveOutOutcome = { kind: "conflict" };

/** Carries `request` out on `state`, which stays as it is. */
export function reserveOut(state: ReservationState, request: ReserveOutRequest): ReserveOutOutcome {
  const key = keyOf(state, request.port);
  const { Register, RegisterAndIgnoreExistingKey, Reserve, Release, Clear } = ReserveOutAction;
  if (request.action === Register) {
    return (key ?? noKey) === request.key ? register(state, request) : conflict;
  }
  if (request.action === RegisterAndIgnoreExistingKey) return register(state, request);
  if (key === undefined || key !== request.key) return conflict;
  switch (request.action) {
    case Reserve:
      return reserve(state, request);
    case Release:
      return release(state, request);
    case Clear:
      return clear(state, request);
    default:
      return preempt(state, request);
  }
}

function done(state: ReservationState, tell: Done["tell"] = [], abort: readonly string[] = []): Done {
  return { kind: "done", state, tell, abort };
}

function next(state: ReservationState): number {
  return (state.generation + 1) >>> 0;
}

function tellAll(registrations: readonly Registration[], except: string, code: AttentionCode): Done["tell"] {
  return registrations.filter(({ port }) => port !== except).map(({ port }) => ({ port, code }));
}

function register(state: ReservationState, request: ReserveOutRequest): ReserveOutOutcome {
  const { port, actionKey, isKept } = request;
  const isRegistered = keyOf(state, port) !== undefined;
  if (!isRegistered && actionKey === noKey) return done(state);
  if (actionKey === noKey) return unregister({ ...state, isKept }, port);
  if (!isRegistered && state.registrations.length >= registrationLimit) {
    return { kind: "refused", what: Conditions.insufficientRegistrationResources };
  }
  const registration = { port, key: actionKey };
  const registrations = isRegistered
    ? state.registrations.map((found) => (found.port === port ? registration : found))
    : [...state.registrations, registration];
  return done({ ...state, generation: next(state), registrations, isKept });
}

/** §5.12.11.3: with the holder's registration goes its reservation; for all registrants with the last one. */
function unregister(state: ReservationState, port: string): ReserveOutOutcome {
  const registrations = state.registrations.filter((found) => found.port !== port);
  const { reservation } = state;
  const isReleased =
    reservation !== undefined &&
    (isAllRegistrants(reservation.type) ? registrations.length === 0 : reservation.holder === port);
  const tell =
    isReleased && isForRegistrants(reservation.type)
      ? tellAll(registrations, port, Attentions.reservationsReleased)
      : [];
  return done(
    { ...state, generation: next(state), registrations, reservation: isReleased ? undefined : reservation },
    tell,
  );
}

const wrongType: ReserveOutOutcome = { kind: "refused", what: Conditions.invalidFieldInCdb, field: "type" };

function reserve(state: ReservationState, { port, type }: ReserveOutRequest): ReserveOutOutcome {
  if (!isReservationType(type)) return wrongType;
  const { reservation } = state;
  if (reservation === undefined) return done({ ...state, reservation: reservationOf(type, port) });
  return isHolder(state, port) && reservation.type === type ? done(state) : conflict;
}

function reservationOf(type: ReservationType, port: string): Reservation {
  return { type, holder: isAllRegistrants(type) ? undefined : port };
}

function release(state: ReservationState, { port, type }: ReserveOutRequest): ReserveOutOutcome {
  if (!isReservationType(type)) return wrongType;
  const { reservation, registrations } = state;
  if (reservation === undefined || !isHolder(state, port)) return done(state);
  if (reservation.type !== type) return { kind: "refused", what: Conditions.invalidRelease };
  const tell = isForRegistrants(type) ? tellAll(registrations, port, Attentions.reservationsReleased) : [];
  return done({ ...state, reservation: undefined }, tell);
}

function clear(state: ReservationState, { port }: ReserveOutRequest): ReserveOutOutcome {
  const tell = tellAll(state.registrations, port, Attentions.reservationsPreempted);
  return done({ ...state, generation: next(state), registrations: [], reservation: undefined }, tell);
}

/** §5.12.11.4: takes the reservation away from its holder, or registrations from others, or both. */
function preempt(state: ReservationState, request: ReserveOutRequest): ReserveOutOutcome {
  const { port, actionKey } = request;
  const { reservation } = state;
  const isForAll = reservation !== undefined && isAllRegistrants(reservation.type);
  if (actionKey === noKey) {
    if (!isForAll) return { kind: "refused", what: Conditions.invalidFieldInParameterList, field: "action-key" };
    return takeOver(state, request, () => true);
  }
  if (!state.registrations.some(({ key }) => key === actionKey)) return conflict;
  const holder = isForAll ? undefined : reservation?.holder;
  if (holder !== undefined && keyOf(state, holder) === actionKey) {
    return takeOver(state, request, ({ key }) => key === actionKey);
  }
  // Only registrations go: the sender's own, too, if it has that key.
  const left = state.registrations.filter(({ key }) => key !== actionKey);
  const gone = state.registrations.filter(({ key }) => key === actionKey);
  const isReleased = isForAll && left.length === 0;
  return done(
    {
      ...state,
      generation: next(state),
      registrations: left,
      reservation: isReleased ? undefined : reservation,
    },
    tellAll(gone, port, Attentions.registrationsPreempted),
    abortedPorts(request, gone),
  );
}

/** The reservation becomes the sender's; registrations that `goes` names go, but not the sender's. */
function takeOver(
  state: ReservationState,
  request: ReserveOutRequest,
  goes: (registration: Registration) => boolean,
): ReserveOutOutcome {
  const { port, type } = request;
  if (!isReservationType(type)) return wrongType;
  const isGone = (found: Registration) => found.port !== port && goes(found);
  const left = state.registrations.filter((found) => !isGone(found));
  const gone = state.registrations.filter(isGone);
  const old = state.reservation?.type;
  return done(
    { ...state, generation: next(state), registrations: left, reservation: reservationOf(type, port) },
    [
      ...tellAll(gone, port, Attentions.registrationsPreempted),
      ...(old === type ? [] : tellAll(left, port, Attentions.reservationsReleased)),
    ],
    abortedPorts(request, gone),
  );
}

function abortedPorts(request: ReserveOutRequest, gone: readonly Registration[]): readonly string[] {
  if (request.action !== ReserveOutAction.PreemptAndAbort) return [];
  return gone.map(({ port }) => port).filter((port) => port !== request.port);
}
