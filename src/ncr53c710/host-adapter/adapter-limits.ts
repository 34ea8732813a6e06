/** What a board and the driver's options come to: addresses, transfers, abilities by name. */
import type { InitiatorLimits } from "../../scsi/index.js";
import { DipSwitch } from "../a4091/board.js";
import { type HostAdapterOptions, usual } from "./options.js";

/** Bytes that one command moves at most: what a count of 24 bits can say. */
const largestTransfer = 16 << 20;

/** Targets, LUNs and transfers of a board whose switches are `dip`. */
export function limitsOf(hostId: number, dip: number, { luns }: HostAdapterOptions): InitiatorLimits {
  return {
    targets: [0, 1, 2, 3, 4, 5, 6, 7].filter((id) => id !== hostId),
    luns: luns ?? ((dip & DipSwitch.OneLun) !== 0 ? 1 : 8),
    largestTransfer,
  };
}

/** What the driver makes use of, by name. */
export function featuresOf(
  { disconnect = true, tags = usual.tags }: HostAdapterOptions,
  negotiates: boolean,
): string[] {
  return [
    ...(disconnect ? ["DISCONNECT"] : []),
    ...(negotiates ? ["SYNCHRONOUS"] : []),
    ...(tags > 0 ? ["QUEUE_TAGS"] : []),
    "AUTOSENSE",
  ];
}
