/** The front end's side of the connection: one request at a time, each waited for. */
import { DeviceError, ProtocolError } from "../../errors/index.js";
import { hasFeature } from "../features.js";
import { checkMessage, frontEndMessages, isReplySize, type MessageRule } from "./messages.js";
import {
  BackEndRequest,
  configHeader,
  FrontEndRequest,
  MessageFlag,
  maxPayloadSize,
  messageHeader,
  numberPayload,
  ProtocolFeature,
  protocolFeaturesBit,
  wire,
} from "./protocol.js";

/** What the front end needs of its system: one connection, and event descriptors. */
export interface FrontEndSystem {
  /** Sends all of `bytes`, with descriptors. @throws DeviceError when the back end is gone or does not take it. */
  send(bytes: Uint8Array, descriptors: readonly number[]): void;
  /**
   * Receives exactly `length` bytes; descriptors that come along are appended to `descriptors`.
   * @throws DeviceError when the back end is gone, or does not answer in time.
   */
  receive(target: Uint8Array, length: number, descriptors: number[]): void;
  /** Told once when the back end closes the connection while nobody waits for an answer. */
  onClosed(listener: () => void): void;
  /** Closes the connection. */
  close(): void;
  /** A socket for requests of the back end: the end to give away, and the way to stop listening. */
  openBackChannel(onRequest: (request: number) => void): { readonly descriptor: number; close(): void };
  createEvent(): number;
  signal(descriptor: number): void;
  watch(descriptor: number, onEvent: () => void): { close(): void };
  closeDescriptor(descriptor: number): void;
}

/** An answer: its payload and descriptors, which are the receiver's. */
export interface ChannelReply {
  readonly payload: DataView;
  readonly descriptors: number[];
}

export class FrontEndChannel {
  /** What the back end offers. */
  features = 0n;
  /** What is in use. */
  protocolFeatures = 0n;
  /** The connection is closed, or was given up. */
  isGone = false;
  #system: FrontEndSystem;
  readonly #acknowledged: boolean;
  #wanted = 0n;
  #onConfigChange: () => void = () => {};
  #backChannel: { close(): void } | undefined;

  constructor(system: FrontEndSystem, acknowledged: boolean) {
    this.#system = system;
    this.#acknowledged = acknowledged;
  }

  has(feature: number): boolean {
    return hasFeature(this.protocolFeatures, feature);
  }

  /** Begins: features, protocol features of which `wanted` are taken, ownership, and the back end's own socket. */
  open(wanted: bigint, onConfigChange: () => void): void {
    this.#wanted = wanted;
    this.#onConfigChange = onConfigChange;
    const q = FrontEndRequest;
    this.features = this.ask(q.GetFeatures);
    this.protocolFeatures = 0n;
    if (hasFeature(this.features, protocolFeaturesBit)) {
      const chosen = this.ask(q.GetProtocolFeatures) & wanted;
      this.tell(q.SetProtocolFeatures, numberBytes(chosen));
      this.protocolFeatures = chosen;
    }
    this.tell(q.SetOwner);
    if (!this.has(ProtocolFeature.BACKEND_REQ) || !this.has(ProtocolFeature.CONFIG)) return;
    const channel = this.#system.openBackChannel((request) => {
      if (request === BackEndRequest.ConfigChanged) this.#onConfigChange();
    });
    this.#backChannel = channel;
    try {
      this.tell(q.SetBackEndSocket, undefined, [channel.descriptor]);
    } finally {
      this.#system.closeDescriptor(channel.descriptor);
    }
  }

  /** The same again, on another connection. @throws ProtocolError when less is offered there than is in use. */
  reopen(system: FrontEndSystem): void {
    const { features, protocolFeatures } = this;
    this.close();
    this.#system = system;
    this.isGone = false;
    this.open(this.#wanted, this.#onConfigChange);
    const missing = (features & ~this.features) | (protocolFeatures & ~this.protocolFeatures);
    if (missing === 0n) return;
    throw new ProtocolError("feature-not-offered", { detail: `the new back end lacks bits 0x${missing.toString(16)}` });
  }

  queueCount(): number {
    return Number(this.ask(FrontEndRequest.GetQueueCount));
  }

  /** Bytes of configuration space; nothing when the back end refuses. */
  readConfig(offset: number, size: number): Uint8Array {
    const request = new Uint8Array(configHeader.size + size);
    configHeader.write(new DataView(request.buffer), 0, wire, { offset, size, flags: 0 });
    const { payload } = this.exchange(FrontEndRequest.GetConfig, request);
    if (payload.byteLength === 0) return new Uint8Array(0);
    const answer = configHeader.read(payload, 0, wire);
    if (answer.offset !== offset || answer.size !== size || payload.byteLength !== request.length) {
      throw new ProtocolError("reply-invalid", {
        detail: `GET_CONFIG answers ${answer.size} bytes at ${answer.offset}`,
      });
    }
    return new Uint8Array(payload.buffer, payload.byteOffset + configHeader.size, size);
  }

  writeConfig(offset: number, data: Uint8Array): void {
    const request = new Uint8Array(configHeader.size + data.length);
    configHeader.write(new DataView(request.buffer), 0, wire, { offset, size: data.length, flags: 0 });
    request.set(data, configHeader.size);
    this.tell(FrontEndRequest.SetConfig, request);
  }

  /** A request whose answer is one number. */
  ask(request: number): bigint {
    return numberPayload.read(this.exchange(request).payload, 0, wire).value;
  }

  /**
   * A request without an answer of its own; acknowledged where that was agreed on.
   * @throws ProtocolError `message-refused`, DeviceError
   */
  tell(request: number, payload?: Uint8Array, descriptors: readonly number[] = []): void {
    const rule = ruleOf(request);
    const isAcked = this.#acknowledged && this.has(ProtocolFeature.REPLY_ACK);
    this.#send(rule, isAcked ? MessageFlag.NeedReply : 0, payload, descriptors);
    if (!isAcked) return;
    const { payload: answer } = this.#receive(rule);
    if (answer.byteLength !== numberPayload.size) {
      throw this.#fail(
        new ProtocolError("reply-invalid", { detail: `${rule.name} acknowledged with ${answer.byteLength} bytes` }),
      );
    }
    if (numberPayload.read(answer, 0, wire).value !== 0n) {
      throw new ProtocolError("message-refused", { detail: rule.name });
    }
  }

  /** A request with an answer. @throws ProtocolError `reply-invalid`, DeviceError */
  exchange(request: number, payload?: Uint8Array): ChannelReply {
    const rule = ruleOf(request);
    this.#send(rule, 0, payload, []);
    return this.#receive(rule);
  }

  close(): void {
    this.isGone = true;
    this.#backChannel?.close();
    this.#backChannel = undefined;
    this.#system.close();
  }

  #send(
    rule: MessageRule,
    flags: number,
    payload: Uint8Array = new Uint8Array(0),
    descriptors: readonly number[],
  ): void {
    checkMessage(rule, payload.length, descriptors.length);
    if (this.isGone) throw new DeviceError("the vhost-user back end is gone");
    const message = new Uint8Array(messageHeader.size + payload.length);
    const header = { request: rule.id, flags: MessageFlag.Version | flags, size: payload.length };
    messageHeader.write(new DataView(message.buffer), 0, wire, header);
    message.set(payload, messageHeader.size);
    this.#guard(() => this.#system.send(message, descriptors));
  }

  #receive(rule: MessageRule): ChannelReply {
    const descriptors: number[] = [];
    const bytes = new Uint8Array(messageHeader.size);
    this.#guard(() => this.#system.receive(bytes, bytes.length, descriptors));
    const { request, flags, size } = messageHeader.read(new DataView(bytes.buffer), 0, wire);
    const isReply =
      (flags & (MessageFlag.VersionMask | MessageFlag.Reply)) === (MessageFlag.Version | MessageFlag.Reply);
    const isEmptyConfig = rule.id === FrontEndRequest.GetConfig && size === 0;
    const isSized = size <= maxPayloadSize && (isReplySize(rule, size) || isEmptyConfig);
    if (request !== rule.id || !isReply || !isSized) {
      for (const descriptor of descriptors) this.#system.closeDescriptor(descriptor);
      const detail = `to ${rule.name}: request ${request}, flags 0x${flags.toString(16)}, ${size} bytes`;
      throw this.#fail(new ProtocolError("reply-invalid", { detail }));
    }
    const payload = new Uint8Array(size);
    if (size > 0) this.#guard(() => this.#system.receive(payload, size, descriptors));
    return { payload: new DataView(payload.buffer), descriptors };
  }

  /** After an answer that makes no sense nothing that follows does. */
  #fail(error: ProtocolError): ProtocolError {
    this.close();
    return error;
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof DeviceError) this.close();
      throw error;
    }
  }
}

/** The payload of a request that is one number. */
export function numberBytes(value: bigint): Uint8Array {
  const bytes = new Uint8Array(numberPayload.size);
  numberPayload.write(new DataView(bytes.buffer), 0, wire, { value });
  return bytes;
}

function ruleOf(request: number): MessageRule {
  const rule = frontEndMessages.get(request);
  if (rule === undefined) throw new RangeError(`there is no vhost-user request ${request}`);
  return rule;
}
