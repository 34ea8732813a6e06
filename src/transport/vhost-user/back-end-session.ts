/**
 * One connection of a front end: what each message does. Messages are handled one after the other; what a message
 * names is checked before anything changes. A message that is refused is answered so when the front end asked for an
 * answer; otherwise the connection ends, since there is no other way to tell.
 */
import { ProtocolError } from "../../errors/index.js";
import { featureSet, hasFeature } from "../features.js";
import type { BackChannel, VhostUserBackEnd } from "./back-end.js";
import { BackEndQueues } from "./back-end-queues.js";
import { maxMemorySlots } from "./memory-table.js";
import { checkMessage, frontEndMessages, type VhostMessage, type VhostReply } from "./messages.js";
import {
  BackEndRequest,
  configHeader,
  FrontEndRequest,
  inflightDescription,
  MessageFlag,
  maxConfigSize,
  memoryRegion,
  memoryTableHeader,
  numberPayload,
  ProtocolFeature,
  protocolFeaturesBit,
  type RegionDescription,
  singleRegion,
  vringAddress,
  vringState,
  wire,
} from "./protocol.js";

type Answer = VhostReply | undefined;

export class BackEndSession {
  readonly #backEnd: VhostUserBackEnd;
  readonly #queues: BackEndQueues;
  readonly #ended: () => void;
  #protocolFeatures = 0n;
  #backChannel: BackChannel | undefined;
  #status = 0;
  #isClosed = false;

  /** Use `VhostUserBackEnd.connect`. */
  constructor(backEnd: VhostUserBackEnd, ended: () => void) {
    this.#backEnd = backEnd;
    this.#queues = new BackEndQueues(backEnd);
    this.#ended = ended;
  }

  /**
   * Carries a message out. The next one comes after the promise is done.
   * @throws ProtocolError when the connection has to end.
   */
  async handle(message: VhostMessage): Promise<Answer> {
    const rule = frontEndMessages.get(message.request);
    const isAcked =
      (message.flags & MessageFlag.NeedReply) !== 0 && hasFeature(this.#protocolFeatures, ProtocolFeature.REPLY_ACK);
    try {
      if ((message.flags & (MessageFlag.VersionMask | MessageFlag.Reply)) !== MessageFlag.Version) {
        throw new ProtocolError("message-malformed", { detail: `flags 0x${message.flags.toString(16)}` });
      }
      if (rule === undefined) throw new ProtocolError("message-unknown", { detail: `request ${message.request}` });
      checkMessage(rule, message.payload.byteLength, message.descriptors.length);
      const answer = await this.#carryOut(message);
      return answer ?? (isAcked ? numberReply(0n) : undefined);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#backEnd.report(error);
      if (message.request === FrontEndRequest.GetConfig) return { payload: new Uint8Array(0), descriptors: [] };
      if (error.code === "message-malformed" || rule?.reply !== undefined) throw error;
      if (isAcked) return numberReply(1n);
      if (rule === undefined) return undefined;
      throw error;
    }
  }

  /** Tells the front end to read the configuration again, if it wants to know. */
  configChanged(): void {
    if (hasFeature(this.#protocolFeatures, ProtocolFeature.CONFIG))
      this.#backChannel?.send(BackEndRequest.ConfigChanged);
  }

  /** A ring broke: its error descriptor is signalled. */
  ringFailed(index: number): void {
    this.#queues.fail(index);
  }

  /** The connection is gone. Done when storage has ended every request, and nothing of the front end is held. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#queues.close();
    await this.#backEnd.runner.reset();
    this.#backChannel?.close();
    this.#backChannel = undefined;
    this.#ended();
  }

  #carryOut(message: VhostMessage): Answer | Promise<Answer> {
    const { payload } = message;
    const queues = this.#queues;
    const q = FrontEndRequest;
    switch (message.request) {
      case q.GetFeatures:
        return numberReply(this.#backEnd.features | featureSet(protocolFeaturesBit));
      case q.SetFeatures:
        return this.#setFeatures(number(payload));
      case q.SetOwner:
        return undefined;
      case q.ResetOwner:
        return done(queues.disableAll());
      case q.GetProtocolFeatures:
        return numberReply(this.#backEnd.protocolFeatures);
      case q.SetProtocolFeatures:
        this.#protocolFeatures = accepted(number(payload), this.#backEnd.protocolFeatures);
        return undefined;
      case q.GetQueueCount:
        return numberReply(BigInt(queues.count));
      case q.GetMaxMemorySlots:
        return numberReply(BigInt(maxMemorySlots));
      case q.SetMemoryTable:
        return done(queues.setMemoryTable(readTable(payload), message.descriptors));
      case q.AddMemoryRegion:
        return done(queues.addRegion(singleRegion.read(payload, 0, wire), message.descriptors[0]));
      case q.RemoveMemoryRegion:
        return done(queues.removeRegion(singleRegion.read(payload, 0, wire)));
      case q.SetVringSize:
        queues.setSize(vringState.read(payload, 0, wire));
        return undefined;
      case q.SetVringBase:
        queues.setBase(vringState.read(payload, 0, wire));
        return undefined;
      case q.SetVringEndianness:
        queues.setEndianness(vringState.read(payload, 0, wire));
        return undefined;
      case q.SetVringAddress:
        return done(queues.setAddress(vringAddress.read(payload, 0, wire)));
      case q.SetVringKick:
        return done(queues.setKick(number(payload), message.descriptors));
      case q.SetVringCall:
        return done(queues.setCall(number(payload), message.descriptors));
      case q.SetVringError:
        queues.setError(number(payload), message.descriptors);
        return undefined;
      case q.SetVringEnable:
        return done(queues.enable(vringState.read(payload, 0, wire)));
      case q.GetVringBase:
        return this.#getBase(vringState.read(payload, 0, wire).index);
      case q.GetInflight:
        return this.#getInflight(payload);
      case q.SetInflight:
        queues.setInflight(inflightDescription.read(payload, 0, wire), message.descriptors[0]);
        return undefined;
      case q.GetConfig:
        return this.#getConfig(payload);
      case q.SetConfig:
        return done(this.#setConfig(payload));
      case q.SetBackEndSocket:
        this.#setBackChannel(message.descriptors);
        return undefined;
      case q.ResetDevice:
        return done(this.#reset());
      case q.SetStatus:
        return this.#setStatus(Number(number(payload) & 0xffn));
      case q.GetStatus:
        return numberReply(BigInt(this.#status));
      default:
        // Dirty page logs: never offered, so never sent by a front end that keeps to what it was told.
        throw new ProtocolError("message-refused", { detail: `request ${message.request}: migration is not offered` });
    }
  }

  #setFeatures(features: bigint): Promise<undefined> {
    const bit = featureSet(protocolFeaturesBit);
    const chosen = accepted(features & ~bit, this.#backEnd.features);
    return done(this.#queues.setFeatures(chosen, (features & bit) === 0n));
  }

  async #getBase(index: number): Promise<VhostReply> {
    const value = await this.#queues.stop(index);
    const payload = new Uint8Array(vringState.size);
    vringState.write(new DataView(payload.buffer), 0, wire, { index, value });
    return { payload, descriptors: [] };
  }

  #getInflight(request: DataView): VhostReply {
    const { queues, queueSize } = inflightDescription.read(request, 0, wire);
    const { size, descriptor } = this.#queues.createInflight(queues, queueSize);
    const payload = new Uint8Array(inflightDescription.size);
    const description = { size: BigInt(size), offset: 0n, queues, queueSize, padding: 0 };
    inflightDescription.write(new DataView(payload.buffer), 0, wire, description);
    if (descriptor === undefined) return { payload, descriptors: [] };
    return { payload, descriptors: [descriptor], sent: () => this.#backEnd.system.close(descriptor) };
  }

  /** Any range within 256 bytes is answered; what the device has not reads 0. */
  #getConfig(request: DataView): VhostReply {
    const { offset, size, flags } = configHeader.read(request, 0, wire);
    if (size > maxConfigSize || offset + size > maxConfigSize) {
      throw new ProtocolError("config-space-range", { detail: `${size} bytes at ${offset} of ${maxConfigSize}` });
    }
    const payload = new Uint8Array(configHeader.size + size);
    configHeader.write(new DataView(payload.buffer), 0, wire, { offset, size, flags });
    payload.set(this.#backEnd.readConfig(offset, size), configHeader.size);
    return { payload, descriptors: [] };
  }

  #setConfig(request: DataView): Promise<void> {
    const { offset, size } = configHeader.read(request, 0, wire);
    if (configHeader.size + size !== request.byteLength) {
      const detail = `SET_CONFIG of ${size} bytes with ${request.byteLength - configHeader.size}`;
      throw new ProtocolError("message-size", { detail });
    }
    const data = new Uint8Array(request.buffer, request.byteOffset + configHeader.size, size).slice();
    return this.#backEnd.writeConfig(offset, data);
  }

  #setBackChannel(descriptors: number[]): void {
    this.#backChannel?.close();
    this.#backChannel = this.#backEnd.system.openBackChannel(descriptors[0]);
    descriptors.shift();
  }

  async #reset(): Promise<void> {
    await this.#queues.reset();
    await this.#backEnd.runner.reset();
    this.#status = 0;
  }

  #setStatus(status: number): Promise<undefined> | undefined {
    this.#status = status;
    return status === 0 ? done(this.#reset()) : undefined;
  }
}

/** A reply of one number. */
function numberReply(value: bigint): VhostReply {
  const payload = new Uint8Array(numberPayload.size);
  numberPayload.write(new DataView(payload.buffer), 0, wire, { value });
  return { payload, descriptors: [] };
}

function number(payload: DataView): bigint {
  return numberPayload.read(payload, 0, wire).value;
}

async function done(work: Promise<void>): Promise<undefined> {
  await work;
}

/** @throws ProtocolError `feature-not-offered` */
function accepted(features: bigint, offered: bigint): bigint {
  const surplus = features & ~offered;
  if (surplus !== 0n) throw new ProtocolError("feature-not-offered", { detail: `bits 0x${surplus.toString(16)}` });
  return features;
}

function readTable(payload: DataView): RegionDescription[] {
  const { count } = memoryTableHeader.read(payload, 0, wire);
  if (memoryTableHeader.size + count * memoryRegion.size !== payload.byteLength) {
    throw new ProtocolError("message-size", {
      detail: `SET_MEM_TABLE of ${count} regions in ${payload.byteLength} bytes`,
    });
  }
  return Array.from({ length: count }, (_, index) =>
    memoryRegion.read(payload, memoryTableHeader.size + index * memoryRegion.size, wire),
  );
}
