/** What the miniport keeps of its adapter (`ADAPTER_EXTENSION`), and what it is given by the port driver. */
import type { ProtocolError, ViolationCode } from "../../errors/index.js";
import type { DmaBlock, DmaMemory, GuestMemory } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import type { PciFunctionHandle } from "../../pci/index.js";
import type { QueueDriver } from "../../virtqueue/index.js";
import type { Behaviour } from "./behaviour.js";
import { type BlkConfigInfo, noBlkConfig } from "./block-config.js";
import type { DebugPrint } from "./debug-print.js";
import type { PortLimits } from "./port-arithmetic.js";
import type { StorportProfile } from "./profile.js";
import type { RegisterOptions, VirtioRegisters } from "./registers.js";
import type { SenseTriple } from "./scsi-answer.js";
import type { Srb } from "./srb.js";
import { newTransferFields, type TransferFields } from "./transfer-decoder.js";

/** What the port driver does for its miniport. */
export interface PortServices {
  /** The PCI function with its access ranges. */
  readonly fn: PciFunctionHandle;
  readonly memory: GuestMemory;
  readonly dma: DmaMemory;
  readonly registers: Omit<RegisterOptions, "observer">;
  readonly observer: Observer | undefined;
  /** Processors that requests come from. */
  readonly processors: number;
  /** How long a reset may take, milliseconds. */
  readonly resetTimeout: number;
  /** Features that the user does not want, out of those that the driver understands. */
  readonly unwanted: bigint;
  /** StorPortGetUncachedExtension: memory that device and processor share, page-aligned. */
  getUncachedExtension(size: number): DmaBlock;
  /** The device broke a rule: it has to be put out of use. */
  deviceFailed(error: ProtocolError): void;
  /** Messages that were allocated to the function; 0 for a line. */
  messageCount(): number;
  /** StorPortNotification(RequestComplete). */
  requestComplete(srb: Srb): void;
  /** StorPortBusy: no request before `completions` others have ended. */
  busy(completions: number): void;
  /** ScsiPort's NextRequest: another SRB may come. */
  nextRequest(): void;
  /** StorPortSetDeviceQueueDepth. */
  setQueueDepth(depth: number): void;
  /** StorPortNotification(BusChangeDetected). */
  busChangeDetected(): void;
}

/** PORT_CONFIGURATION_INFORMATION: what FindAdapter reports. */
export interface PortConfiguration extends PortLimits {
  readonly queues: number;
  readonly alignmentMask: number;
  readonly master: boolean;
  readonly scatterGather: boolean;
  readonly dma64BitAddresses: boolean;
  /** There is a write cache, and flushes go to it. */
  readonly cachesData: boolean;
  readonly synchronization: "full-duplex" | "half-duplex";
  readonly interruptSynchronization: "per-message" | "all";
  readonly numberOfBuses: number;
  readonly maximumNumberOfTargets: number;
  readonly maximumNumberOfLogicalUnits: number;
  /** Bytes of the uncached extension: a page, the rings, and what goes with them. */
  readonly uncachedExtensionSize: number;
}

/** What names a request on a ring: the request itself, or a number (defect 8). */
export type RequestToken = Srb | number;

/** One queue: where it lies (`virtio_pci_vq_info`) and its ring (`vring_virtqueue`). */
export interface RequestQueue {
  readonly index: number;
  readonly size: number;
  /** Message, or undefined. */
  readonly message: number | undefined;
  readonly ring: QueueDriver<RequestToken>;
  /** Requests in flight by id (defect 8). */
  readonly byId: Map<number, Srb>;
  /** The ring was published and the device wants to be notified. */
  needsKick: boolean;
  /** Something was added since the last kick. */
  dirty: boolean;
}

/** Everything that the miniport knows. */
export interface AdapterExtension {
  readonly profile: StorportProfile;
  readonly behaviour: Behaviour;
  readonly port: PortServices;
  readonly debug: DebugPrint;
  /** The driver was loaded for a crash dump. */
  readonly dumpMode: boolean;
  /** `device_base`: the mapped registers; set by FindAdapter. */
  deviceBase: VirtioRegisters | undefined;
  offered: bigint;
  /** What decides: accepted features, unless defect 11 is in. */
  negotiated: bigint;
  /** `info`, the device's configuration. */
  info: BlkConfigInfo;
  configuration: PortConfiguration | undefined;
  /** Where rings lie; made by the port driver as FindAdapter asks. */
  uncachedExtension: DmaBlock | undefined;
  queues: RequestQueue[];
  /** Messages are in use, not the line. */
  usesMessages: boolean;
  /** One message serves configuration and queue. */
  sharedMessage: boolean;
  /** Messages counted so far: grows with defect 29. */
  countedMessages: number;
  /** The last block is known (defect 12). */
  limitKnown: boolean;
  resetInProgress: boolean;
  removed: boolean;
  stopped: boolean;
  /** The device broke a rule: nothing goes to it until a reset. */
  failure: ProtocolError | undefined;
  readonly violations: Map<ViolationCode, number>;
  /** GET_ID's answer; undefined before it came. */
  serial: string | undefined;
  /** Unit attention for the next command that can carry one. */
  attention: SenseTriple | undefined;
  /** Id that BuildIo gives out next (defect 8). */
  nextId: number;
  /** Requests sent, for people and benchmarks. */
  requests: number;
  /** Notifications written. */
  kicks: number;
  /** BuildIo and StartIo of a batch: kicks wait for its end. */
  isBatching: boolean;
  /** What BuildIo decodes into. */
  readonly transfer: TransferFields;
}

/** The extension of an adapter that was not looked at yet. */
export function newAdapterExtension(
  what: Pick<AdapterExtension, "profile" | "behaviour" | "port" | "debug" | "dumpMode">,
): AdapterExtension {
  return {
    ...what,
    deviceBase: undefined,
    offered: 0n,
    negotiated: 0n,
    info: noBlkConfig,
    configuration: undefined,
    uncachedExtension: undefined,
    queues: [],
    usesMessages: false,
    sharedMessage: false,
    countedMessages: 0,
    limitKnown: what.behaviour.limitKnown === "initialisation",
    resetInProgress: false,
    removed: false,
    stopped: false,
    failure: undefined,
    violations: new Map(),
    serial: undefined,
    attention: undefined,
    nextId: 1,
    requests: 0,
    kicks: 0,
    isBatching: false,
    transfer: newTransferFields(),
  };
}

/** Whether a feature was agreed on. */
export function hasFeatureBit(extension: AdapterExtension, bit: number): boolean {
  return ((extension.negotiated >> BigInt(bit)) & 1n) === 1n;
}

/** The registers. @throws TypeError before FindAdapter. */
export function deviceOf(extension: AdapterExtension): VirtioRegisters {
  const { deviceBase } = extension;
  if (deviceBase === undefined) throw new TypeError("the adapter was not found yet");
  return deviceBase;
}
