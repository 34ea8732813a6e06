/**
 * The five kinds of failure. `TypeError` and `RangeError` say that the caller is wrong and are thrown before anything
 * was written; the classes below say who else is.
 */
import { type ViolationCode, violations } from "./violations.js";

/** Where in the protocol a violation was found. */
export interface ViolationPlace {
  /** Queue index. */
  queue?: number;
  /** Head descriptor of the chain. */
  head?: number;
  /** What was expected and what came, in numbers. */
  detail?: string;
}

/** The peer broke a rule. Drivers answer with FAILED and a reset, devices with DEVICE_NEEDS_RESET. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: ViolationCode;
  readonly queue: number | undefined;
  readonly head: number | undefined;

  constructor(code: ViolationCode, place: ViolationPlace = {}) {
    const where = [
      place.queue === undefined ? "" : `queue ${place.queue}`,
      place.head === undefined ? "" : `head ${place.head}`,
    ].filter(Boolean);
    const at = where.length > 0 ? ` (${where.join(", ")})` : "";
    const detail = place.detail ? `: ${place.detail}` : "";
    super(`${code}: ${violations[code].text}${detail}${at} [${violations[code].section}]`);
    this.code = code;
    this.queue = place.queue;
    this.head = place.head;
  }

  /** The clause that was broken. */
  get section(): string {
    return violations[this.code].section;
  }
}

/** One request failed; the device and its other requests are fine. */
export class DeviceError extends Error {
  override readonly name: string = "DeviceError";
}

/** A request did not end in time, or was called off. */
export class RequestAborted extends DeviceError {
  override readonly name = "RequestAborted";
}

/** The combination asked for cannot be had (for example a feature on a transport that lacks it). */
export class UnsupportedError extends Error {
  override readonly name = "UnsupportedError";
}

/** An invariant of ours does not hold: a bug in Ringside. */
export class InternalError extends Error {
  override readonly name = "InternalError";
}
