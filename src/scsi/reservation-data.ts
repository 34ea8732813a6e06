/** Parameter data of PERSISTENT RESERVE IN and OUT (SPC-4 §6.15, §6.16), both ways. */
import { hexBytes, parseHexBytes } from "../bytes/index.js";
import { readU32, writeU16, writeU32 } from "./big-endian.js";
import { isHolder, noKey, type ReservationState } from "./reservation-state.js";
import { buildTransportId, parseTransportId } from "./transport-id.js";

/** Bytes of a PERSISTENT RESERVE OUT parameter list without TransportIDs. */
export const reserveOutLength = 24;

/** Bits of byte 20 of the parameter list. */
export const ReserveOutFlag = { SpecInitiatorPorts: 0x08, AllTargetPorts: 0x04, Kept: 0x01 } as const;

/** A key as 16 hexadecimal digits. */
export function keyText(bytes: Uint8Array, at: number): string {
  return hexBytes(bytes.subarray(at, at + 8), "");
}

function keyBytes(key: string): Uint8Array {
  return parseHexBytes(key);
}

/** A PERSISTENT RESERVE OUT parameter list. Keys are 16 hexadecimal digits, {@link noKey} when missing. */
export function buildReserveOut(fields: {
  readonly key?: string;
  readonly actionKey?: string;
  /** `ReserveOutFlag` bits. */
  readonly flags?: number;
}): Uint8Array {
  const data = new Uint8Array(reserveOutLength);
  data.set(keyBytes(fields.key ?? noKey), 0);
  data.set(keyBytes(fields.actionKey ?? noKey), 8);
  data[20] = fields.flags ?? 0;
  return data;
}

/** READ KEYS. */
export function buildReadKeys(state: ReservationState): Uint8Array {
  const data = new Uint8Array(8 + 8 * state.registrations.length);
  writeU32(data, 0, state.generation);
  writeU32(data, 4, data.length - 8);
  for (const [index, { key }] of state.registrations.entries()) data.set(keyBytes(key), 8 + 8 * index);
  return data;
}

/** READ RESERVATION. */
export function buildReadReservation(state: ReservationState): Uint8Array {
  const { reservation, generation } = state;
  const data = new Uint8Array(reservation === undefined ? 8 : 24);
  writeU32(data, 0, generation);
  if (reservation === undefined) return data;
  writeU32(data, 4, 16);
  // Of a reservation that all registrants hold the key is zero.
  const holder = state.registrations.find(({ port }) => port === reservation.holder);
  data.set(keyBytes(holder?.key ?? noKey), 8);
  data[21] = reservation.type;
  return data;
}

/** REPORT CAPABILITIES: RESERVE(6) is understood (CRH), ALL_TG_PT too, APTPL where somebody keeps reservations. */
export function buildReserveCapabilities(canKeep: boolean, isKept: boolean): Uint8Array {
  const data = new Uint8Array(8);
  writeU16(data, 0, 8);
  data[2] = 0x10 | 0x04 | (canKeep ? 0x01 : 0);
  // TMV: the type mask that follows is valid, and has all six types.
  data[3] = 0x80 | (isKept ? 0x01 : 0);
  data[4] = 0xea;
  data[5] = 0x01;
  return data;
}

/** READ FULL STATUS. */
export function buildFullStatus(state: ReservationState): Uint8Array {
  const descriptors = state.registrations.map(({ port, key }) => {
    const id = buildTransportId(port);
    const descriptor = new Uint8Array(24 + id.length);
    descriptor.set(keyBytes(key), 0);
    if (isHolder(state, port)) {
      descriptor[12] = 0x01;
      descriptor[13] = state.reservation?.type ?? 0;
    }
    writeU16(descriptor, 18, 1);
    writeU32(descriptor, 20, id.length);
    descriptor.set(id, 24);
    return descriptor;
  });
  const data = new Uint8Array(descriptors.reduce((sum, { length }) => sum + length, 8));
  writeU32(data, 0, state.generation);
  writeU32(data, 4, data.length - 8);
  let at = 8;
  for (const descriptor of descriptors) {
    data.set(descriptor, at);
    at += descriptor.length;
  }
  return data;
}

/** READ KEYS data as a driver got it; undefined below 8 bytes. */
export function parseReadKeys(data: Uint8Array): { generation: number; keys: readonly string[] } | undefined {
  if (data.length < 8) return undefined;
  const end = Math.min(data.length, 8 + readU32(data, 4));
  const keys: string[] = [];
  for (let at = 8; at + 8 <= end; at += 8) keys.push(keyText(data, at));
  return { generation: readU32(data, 0), keys };
}

/** READ RESERVATION data as a driver got it; undefined below 8 bytes. `type` 0 is none. */
export function parseReadReservation(data: Uint8Array): { generation: number; key: string; type: number } | undefined {
  if (data.length < 8) return undefined;
  const isThere = readU32(data, 4) >= 16 && data.length >= 24;
  return {
    generation: readU32(data, 0),
    key: isThere ? keyText(data, 8) : noKey,
    type: isThere ? data[21] & 0x0f : 0,
  };
}

/** A registration as READ FULL STATUS tells it. */
export interface FullStatusEntry {
  readonly key: string;
  readonly isHolder: boolean;
  readonly type: number;
  /** Undefined when the TransportID is of another form than ours. */
  readonly initiatorPort: string | undefined;
}

/** READ FULL STATUS data as a driver got it: the descriptors that came whole. Undefined below 8 bytes. */
export function parseFullStatus(
  data: Uint8Array,
): { generation: number; registrations: readonly FullStatusEntry[] } | undefined {
  if (data.length < 8) return undefined;
  const end = Math.min(data.length, 8 + readU32(data, 4));
  const registrations: FullStatusEntry[] = [];
  for (let at = 8; at + 24 <= end; ) {
    const next = at + 24 + readU32(data, at + 20);
    if (next > end) break;
    registrations.push({
      key: keyText(data, at),
      isHolder: (data[at + 12] & 1) !== 0,
      type: data[at + 13] & 0x0f,
      initiatorPort: parseTransportId(data.subarray(at + 24, next)),
    });
    at = next;
  }
  return { generation: readU32(data, 0), registrations };
}
