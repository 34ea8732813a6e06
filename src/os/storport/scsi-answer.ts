/** What becomes of a SCSI command: the result of the translation. */
import type { SectorRange } from "../../virtio/index.js";

/** Sense key, additional sense code and its qualifier. */
export interface SenseTriple {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

/** The conditions that the driver knows. */
export const senseOf = {
  invalidOpcode: { key: 5, asc: 0x20, ascq: 0 },
  lbaOutOfRange: { key: 5, asc: 0x21, ascq: 0 },
  invalidField: { key: 5, asc: 0x24, ascq: 0 },
  invalidParameter: { key: 5, asc: 0x26, ascq: 0 },
  listLength: { key: 5, asc: 0x1a, ascq: 0 },
  writeProtected: { key: 7, asc: 0x27, ascq: 0 },
  capacityChanged: { key: 6, asc: 0x2a, ascq: 9 },
} as const satisfies Record<string, SenseTriple>;

/** One of: answer with these bytes, answer with this sense, send this request. */
export type ScsiTranslation =
  /** GOOD with these bytes, already cut to the allocation length. */
  | { readonly kind: "answer"; readonly data: Uint8Array }
  | { readonly kind: "sense"; readonly sense: SenseTriple }
  /** CHECK CONDITION without sense, and SRB SUCCESS (defect 25). */
  | { readonly kind: "bare-check-condition" }
  /** The SRB ends with this status and nothing else. */
  | { readonly kind: "status"; readonly status: number }
  /** IN or OUT; sectors of 512 bytes. `durable`: FUA or WRITE AND VERIFY, a flush follows where there is a cache. */
  | {
      readonly kind: "transfer";
      readonly write: boolean;
      readonly sector: number;
      readonly sectors: number;
      readonly durable: boolean;
    }
  | { readonly kind: "flush" }
  | { readonly kind: "ranges"; readonly type: number; readonly flags: number; readonly ranges: readonly SectorRange[] }
  /** WRITE SAME of a block that is not zero: the data again and again. */
  | { readonly kind: "same"; readonly sector: number; readonly sectors: number }
  /** GET_ID first, then this command again. */
  | { readonly kind: "identify" }
  /** MODE SELECT: switches the cache. */
  | { readonly kind: "cache"; readonly on: boolean };

/** GOOD without data. */
export const good: ScsiTranslation = { kind: "answer", data: new Uint8Array(0) };

/** CHECK CONDITION. */
export function refuse(sense: SenseTriple): ScsiTranslation {
  return { kind: "sense", sense };
}
