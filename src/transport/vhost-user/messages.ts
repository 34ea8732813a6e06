/** Which requests there are, in both directions: payload, reply and file descriptors of each, in one table. */
import { ProtocolError } from "../../errors/index.js";
import {
  BackEndRequest,
  configHeader,
  FrontEndRequest,
  inflightDescription,
  iotlbMessage,
  logDescription,
  maxConfigSize,
  maxTableRegions,
  memoryRegion,
  memoryTableHeader,
  numberPayload,
  singleRegion,
  vringAddress,
  vringState,
} from "./protocol.js";

/** Sizes that a payload may have, in bytes. */
interface PayloadSize {
  readonly least: number;
  readonly most: number;
}

const exactly = (size: number): PayloadSize => ({ least: size, most: size });

/** Payloads by name. */
const payloads = {
  none: exactly(0),
  number: exactly(numberPayload.size),
  state: exactly(vringState.size),
  address: exactly(vringAddress.size),
  table: {
    least: memoryTableHeader.size + memoryRegion.size,
    most: memoryTableHeader.size + maxTableRegions * memoryRegion.size,
  },
  region: exactly(singleRegion.size),
  config: { least: configHeader.size, most: configHeader.size + maxConfigSize },
  inflight: exactly(inflightDescription.size),
  log: exactly(logDescription.size),
  iotlb: exactly(iotlbMessage.size),
} as const satisfies Record<string, PayloadSize>;

/** What is known of a request. */
export interface MessageRule {
  readonly id: number;
  readonly name: string;
  readonly payload: keyof typeof payloads;
  /** The reply that the request always has. Others are acknowledged on demand. */
  readonly reply?: keyof typeof payloads;
  /** File descriptors: how many, at least and at most. Default none. */
  readonly descriptors?: readonly [least: number, most: number];
}

const q = FrontEndRequest;
const optional = [0, 1] as const;
const one = [1, 1] as const;

const frontEndRules: readonly MessageRule[] = [
  { id: q.GetFeatures, name: "GET_FEATURES", payload: "none", reply: "number" },
  { id: q.SetFeatures, name: "SET_FEATURES", payload: "number" },
  { id: q.SetOwner, name: "SET_OWNER", payload: "none" },
  { id: q.ResetOwner, name: "RESET_OWNER", payload: "none" },
  { id: q.SetMemoryTable, name: "SET_MEM_TABLE", payload: "table", descriptors: [1, maxTableRegions] },
  { id: q.SetLogBase, name: "SET_LOG_BASE", payload: "log", descriptors: optional },
  { id: q.SetLogDescriptor, name: "SET_LOG_FD", payload: "none", descriptors: optional },
  { id: q.SetVringSize, name: "SET_VRING_NUM", payload: "state" },
  { id: q.SetVringAddress, name: "SET_VRING_ADDR", payload: "address" },
  { id: q.SetVringBase, name: "SET_VRING_BASE", payload: "state" },
  { id: q.GetVringBase, name: "GET_VRING_BASE", payload: "state", reply: "state" },
  { id: q.SetVringKick, name: "SET_VRING_KICK", payload: "number", descriptors: optional },
  { id: q.SetVringCall, name: "SET_VRING_CALL", payload: "number", descriptors: optional },
  { id: q.SetVringError, name: "SET_VRING_ERR", payload: "number", descriptors: optional },
  { id: q.GetProtocolFeatures, name: "GET_PROTOCOL_FEATURES", payload: "none", reply: "number" },
  { id: q.SetProtocolFeatures, name: "SET_PROTOCOL_FEATURES", payload: "number" },
  { id: q.GetQueueCount, name: "GET_QUEUE_NUM", payload: "none", reply: "number" },
  { id: q.SetVringEnable, name: "SET_VRING_ENABLE", payload: "state" },
  { id: q.SetBackEndSocket, name: "SET_BACKEND_REQ_FD", payload: "none", descriptors: one },
  { id: q.SetVringEndianness, name: "SET_VRING_ENDIAN", payload: "state" },
  { id: q.GetConfig, name: "GET_CONFIG", payload: "config", reply: "config" },
  { id: q.SetConfig, name: "SET_CONFIG", payload: "config" },
  { id: q.GetInflight, name: "GET_INFLIGHT_FD", payload: "inflight", reply: "inflight" },
  { id: q.SetInflight, name: "SET_INFLIGHT_FD", payload: "inflight", descriptors: one },
  { id: q.ResetDevice, name: "RESET_DEVICE", payload: "none" },
  { id: q.GetMaxMemorySlots, name: "GET_MAX_MEM_SLOTS", payload: "none", reply: "number" },
  { id: q.AddMemoryRegion, name: "ADD_MEM_REG", payload: "region", descriptors: one },
  // Some front ends send the region's descriptor along.
  { id: q.RemoveMemoryRegion, name: "REM_MEM_REG", payload: "region", descriptors: optional },
  { id: q.SetStatus, name: "SET_STATUS", payload: "number" },
  { id: q.GetStatus, name: "GET_STATUS", payload: "none", reply: "number" },
];

const backEndRules: readonly MessageRule[] = [
  { id: BackEndRequest.Iotlb, name: "IOTLB_MSG", payload: "iotlb" },
  { id: BackEndRequest.ConfigChanged, name: "CONFIG_CHANGE_MSG", payload: "none" },
  { id: BackEndRequest.HostNotifier, name: "VRING_HOST_NOTIFIER_MSG", payload: "none", descriptors: optional },
  { id: BackEndRequest.VringCall, name: "VRING_CALL", payload: "state" },
  { id: BackEndRequest.VringError, name: "VRING_ERR", payload: "state" },
];

const byNumber = (rules: readonly MessageRule[]) => new Map(rules.map((rule) => [rule.id, rule]));

/** What the front end may send, by number. */
export const frontEndMessages: ReadonlyMap<number, MessageRule> = byNumber(frontEndRules);
/** What the back end may send on its own socket, by number. */
export const backEndMessages: ReadonlyMap<number, MessageRule> = byNumber(backEndRules);

/** The largest number of a request that exists. */
export const lastFrontEndRequest = Math.max(...frontEndMessages.keys());

/** A message that came. */
export interface VhostMessage {
  readonly request: number;
  readonly flags: number;
  /** All of the payload; valid until the message is handled. */
  readonly payload: DataView;
  /** Descriptors that came along. What a receiver keeps it takes out of the list; the rest is closed. */
  readonly descriptors: number[];
}

/** What goes back. */
export interface VhostReply {
  readonly payload: Uint8Array;
  /** Sent along; they stay the sender's. */
  readonly descriptors: readonly number[];
  /** Called when the reply was sent. */
  readonly sent?: () => void;
}

/**
 * Whether a payload and its descriptors are those of a request.
 * @throws ProtocolError `message-size`, `message-descriptors`
 */
export function checkMessage(rule: MessageRule, payloadSize: number, descriptors: number): void {
  const { least, most } = payloads[rule.payload];
  if (payloadSize < least || payloadSize > most) {
    throw new ProtocolError("message-size", {
      detail: `${rule.name} with ${payloadSize} bytes, not ${range(least, most)}`,
    });
  }
  const [fewest, many] = rule.descriptors ?? [0, 0];
  if (descriptors < fewest || descriptors > many) {
    const detail = `${rule.name} with ${descriptors} descriptors, not ${range(fewest, many)}`;
    throw new ProtocolError("message-descriptors", { detail });
  }
}

/** Whether a reply has the size that the request's replies have. A configuration reply may be empty: an error. */
export function isReplySize(rule: MessageRule, size: number): boolean {
  const { least, most } = payloads[rule.reply ?? "number"];
  return size >= least && size <= most;
}

function range(least: number, most: number): string {
  return least === most ? `${least}` : `${least} to ${most}`;
}
