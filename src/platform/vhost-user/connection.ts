/** One front end on a socket: cuts the stream into messages, hands them over in order, sends the answers. */
import { ProtocolError } from "../../errors/index.js";
import {
  closeDescriptors,
  type ReadableWatch,
  receiveWithDescriptors,
  SystemCallError,
  sendWithDescriptors,
  type UnixSocket,
  watchReadable,
} from "../../linux/index.js";
import {
  type BackEndSession,
  MessageFlag,
  maxPayloadSize,
  messageHeader,
  type VhostReply,
  wire,
} from "../../transport/index.js";

/** Messages handled before others get a turn. */
const messagesPerTurn = 64;
const replyFlags = MessageFlag.Version | MessageFlag.Reply;

/** A front end's connection, as long as it lasts. */
export class BackEndConnection {
  /** Done when the connection has ended and nothing of it is held; with the reason when the front end was at fault. */
  readonly ended: Promise<ProtocolError | undefined>;
  readonly #socket: UnixSocket;
  readonly #session: BackEndSession;
  readonly #watch: ReadableWatch;
  readonly #header = new Uint8Array(messageHeader.size);
  readonly #payload = new Uint8Array(maxPayloadSize);
  readonly #descriptors: number[] = [];
  #headerLength = 0;
  #payloadLength = 0;
  #isClosed = false;
  #wake: () => void = () => {};

  /** Takes the socket over. */
  constructor(socket: UnixSocket, session: BackEndSession) {
    this.#socket = socket;
    this.#session = session;
    this.#watch = watchReadable(socket.descriptor, () => this.#wake());
    this.ended = this.#run();
  }

  /** Ends the connection; `ended` tells when it has. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async #run(): Promise<ProtocolError | undefined> {
    try {
      while (!this.#isClosed) {
        await this.#readable();
        if (this.#isClosed || !(await this.#turn())) break;
      }
      return undefined;
    } catch (error) {
      // A connection that breaks is one that ends.
      if (error instanceof SystemCallError) return undefined;
      if (error instanceof ProtocolError) return error;
      throw error;
    } finally {
      this.#watch.close();
      this.#socket.close();
      closeDescriptors(this.#descriptors);
      await this.#session.close();
    }
  }

  #readable(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#watch.arm();
    });
  }

  /** Handles what is there. False at the end of the connection. */
  async #turn(): Promise<boolean> {
    for (let count = 0; count < messagesPerTurn && !this.#isClosed; count++) {
      const received = this.#receive();
      if (received === "end") return false;
      if (received === "later") return true;
      const { request, flags, size } = messageHeader.read(new DataView(this.#header.buffer), 0, wire);
      const payload = new DataView(this.#payload.buffer, 0, size);
      try {
        const reply = await this.#session.handle({ request, flags, payload, descriptors: this.#descriptors });
        if (reply !== undefined) this.#send(request, reply);
      } finally {
        closeDescriptors(this.#descriptors);
        this.#headerLength = 0;
        this.#payloadLength = 0;
      }
    }
    return true;
  }

  /**
   * Goes on receiving a message. The header alone is received with descriptors: a read of more could take those of the
   * next message. @throws ProtocolError `message-malformed`
   */
  #receive(): "message" | "later" | "end" {
    const { descriptor } = this.#socket;
    while (this.#headerLength < messageHeader.size) {
      const left = messageHeader.size - this.#headerLength;
      const count = receiveWithDescriptors(descriptor, this.#header, this.#headerLength, left, this.#descriptors);
      if (count <= 0) return count === 0 ? "end" : "later";
      this.#headerLength += count;
    }
    const { size, request } = messageHeader.read(new DataView(this.#header.buffer), 0, wire);
    if (size > maxPayloadSize) {
      throw new ProtocolError("message-malformed", { detail: `request ${request} with ${size} bytes` });
    }
    while (this.#payloadLength < size) {
      const left = size - this.#payloadLength;
      const count = receiveWithDescriptors(descriptor, this.#payload, this.#payloadLength, left);
      if (count <= 0) return count === 0 ? "end" : "later";
      this.#payloadLength += count;
    }
    return "message";
  }

  /** @throws SystemCallError when the front end does not take its answers */
  #send(request: number, { payload, descriptors, sent }: VhostReply): void {
    const message = new Uint8Array(messageHeader.size + payload.length);
    messageHeader.write(new DataView(message.buffer), 0, wire, { request, flags: replyFlags, size: payload.length });
    message.set(payload, messageHeader.size);
    try {
      const count = sendWithDescriptors(this.#socket.descriptor, message, 0, message.length, descriptors);
      if (count !== message.length) throw new SystemCallError("sendmsg", "EAGAIN", "answers are not taken");
    } finally {
      sent?.();
    }
  }
}
