/**
 * How persistent reservations name an initiator (SPC-4 §7.6.4, TransportID). Virtio has no form of its own, so the one
 * of iSCSI is used: text that people can read in `sg_persist --read-full-status`, and that is the same after a restart.
 */
import { writeU16 } from "./big-endian.js";
import { textOf } from "./text.js";

/** RFC 3720 §3.2.6.3: the naming authority; `invalid` is nobody's domain. */
const prefix = "iqn.2026-11.invalid.ringside:";
/** Ours have one port, so the session identifier tells nothing. */
const session = ",i,0x000000000000";
/** iSCSI names have at most 223 bytes. */
const nameLimit = 223 - prefix.length;
const iscsiPort = 0x45;

/**
 * The initiator port's name for an initiator's name. What iSCSI names cannot have becomes `-`; then, or when it is too
 * long, a number that follows from the whole name keeps it apart from others.
 */
export function initiatorPortName(name: string): string {
  const plain = name.toLowerCase().replace(/[^a-z0-9.:-]/g, "-");
  if (plain === name && plain.length > 0 && plain.length <= nameLimit) return `${prefix}${plain}${session}`;
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x0100_0193);
  return `${prefix}${plain.slice(0, 100)}.${(hash >>> 0).toString(16).padStart(8, "0")}${session}`;
}

/** The TransportID of an initiator port: iSCSI, with the session identifier. */
export function buildTransportId(initiatorPort: string): Uint8Array {
  // Null-terminated, padded to a multiple of 4, at least 20.
  const length = Math.max(20, (initiatorPort.length + 4) & ~3);
  const id = new Uint8Array(4 + length);
  id[0] = iscsiPort;
  writeU16(id, 2, length);
  for (let index = 0; index < initiatorPort.length; index++) id[4 + index] = initiatorPort.charCodeAt(index);
  return id;
}

/** The initiator port's name out of a TransportID, or undefined for one of another form. */
export function parseTransportId(id: Uint8Array): string | undefined {
  return id.length >= 24 && id[0] === iscsiPort ? textOf(id.subarray(4)) : undefined;
}
