/** TCP of one host: ports that listen, the connections to them, and those that it asks for. */
import { type FrameWriter, IpProtocol, ipv4Payload, type ReceivedIpv4 } from "./frame-writer.js";
import type { Packet } from "./packet.js";
import { TcpConnection, type TcpEnds, type TcpOutput } from "./tcp-connection.js";
import { TcpFlag, TcpSegment, tcpHeaderLength } from "./tcp-segment.js";

/** Connections that there can be; one more ends the oldest. */
const mostConnections = 64;
const mssOption = 0x0204_05b4;
/** The first of the ports that connections of ours come from (RFC 6335). */
const firstOwnPort = 0xc000;

/** Sends the IPv4 packet that was written into the host's frame. @returns false when it did not get through. */
export type SendIpv4 = () => boolean;

export class TcpHost implements TcpOutput {
  readonly #writer: FrameWriter;
  readonly #begin: (protocol: number, to: number, length: number) => Packet;
  readonly #send: SendIpv4;
  readonly #listeners = new Map<number, (connection: TcpConnection) => void>();
  readonly #connections = new Map<string, TcpConnection>();
  readonly #segment = new TcpSegment();
  #sequence = 0x1000_0000;
  #ownPort = firstOwnPort;

  /** @param begin starts an IPv4 packet in `writer`'s frame; `send` sends it. */
  constructor(writer: FrameWriter, begin: (protocol: number, to: number, length: number) => Packet, send: SendIpv4) {
    this.#writer = writer;
    this.#begin = begin;
    this.#send = send;
  }

  /** Connections that are not over. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Takes connections on a port. Returns the way to stop. @throws RangeError when somebody listens there already. */
  listen(port: number, accept: (connection: TcpConnection) => void): () => void {
    if (this.#listeners.has(port)) throw new RangeError(`somebody listens on port ${port} already`);
    this.#listeners.set(port, accept);
    return () => this.#listeners.delete(port);
  }

  /** Asks for a connection: it can be written to at once, and is closed if nobody takes it. */
  connect(remoteAddress: number, remotePort: number): TcpConnection {
    // There are fewer connections than ports: one is free.
    do this.#ownPort = this.#ownPort === 0xffff ? firstOwnPort : this.#ownPort + 1;
    while (this.#connections.has(keyOf(remoteAddress, remotePort, this.#ownPort)));
    const connection = this.#add({ localPort: this.#ownPort, remoteAddress, remotePort });
    connection.open();
    return connection;
  }

  /** A packet whose protocol is TCP and whose checksum is right. */
  take(received: ReceivedIpv4): void {
    const { packet, payload, length, from } = received;
    const segment = this.#segment;
    if (!segment.parse(packet.view, packet.bytes, payload, length)) return;
    const connection = this.#connections.get(keyOf(from, segment.sourcePort, segment.targetPort));
    if (connection !== undefined) connection.take(segment);
    else if (!segment.has(TcpFlag.Rst)) this.#takeFirst(from, segment);
  }

  /** Ends all connections. */
  close(): void {
    for (const connection of [...this.#connections.values()]) connection.abort();
  }

  send(connection: TcpConnection, sequence: number, flags: number, data: Uint8Array | undefined): boolean {
    return this.#write(connection, sequence, connection.expected, flags, data);
  }

  over(connection: TcpConnection): void {
    this.#connections.delete(keyOf(connection.remoteAddress, connection.remotePort, connection.localPort));
  }

  #takeFirst(from: number, segment: TcpSegment): void {
    const { sourcePort, targetPort, sequence, acknowledgement } = segment;
    const accept = this.#listeners.get(targetPort);
    const isOpening = (segment.flags & (TcpFlag.Syn | TcpFlag.Ack)) === TcpFlag.Syn;
    if (accept === undefined || !isOpening) {
      // RFC 9293 §3.10.7.1: a reset that they believe.
      const after =
        sequence + segment.dataLength + (segment.has(TcpFlag.Syn) ? 1 : 0) + (segment.has(TcpFlag.Fin) ? 1 : 0);
      const ends = { remoteAddress: from, remotePort: sourcePort, localPort: targetPort, window: 0 };
      if (segment.has(TcpFlag.Ack)) this.#write(ends, acknowledgement, 0, TcpFlag.Rst, undefined);
      else this.#write(ends, 0, after >>> 0, TcpFlag.Rst | TcpFlag.Ack, undefined);
      return;
    }
    const connection = this.#add({ localPort: targetPort, remoteAddress: from, remotePort: sourcePort });
    connection.answer(segment);
    accept(connection);
  }

  #add(ends: TcpEnds): TcpConnection {
    if (this.#connections.size >= mostConnections) this.#connections.values().next().value?.abort();
    this.#sequence = (this.#sequence + 64_000) >>> 0;
    const connection = new TcpConnection(this, ends, this.#sequence);
    this.#connections.set(keyOf(ends.remoteAddress, ends.remotePort, ends.localPort), connection);
    return connection;
  }

  #write(
    ends: Pick<TcpConnection, "remoteAddress" | "remotePort" | "localPort" | "window">,
    sequence: number,
    acknowledgement: number,
    flags: number,
    data: Uint8Array | undefined,
  ): boolean {
    const options = (flags & TcpFlag.Syn) !== 0 ? 4 : 0;
    const headerLength = tcpHeaderLength + options;
    const packet = this.#begin(IpProtocol.Tcp, ends.remoteAddress, headerLength + (data?.length ?? 0));
    const { view } = packet;
    const at = ipv4Payload;
    view.setUint16(at, ends.localPort);
    view.setUint16(at + 2, ends.remotePort);
    view.setUint32(at + 4, sequence);
    view.setUint32(at + 8, acknowledgement);
    view.setUint16(at + 12, ((headerLength / 4) << 12) | flags);
    view.setUint16(at + 14, ends.window);
    view.setUint16(at + 18, 0);
    if (options > 0) view.setUint32(at + tcpHeaderLength, mssOption);
    if (data !== undefined) packet.bytes.set(data, at + headerLength);
    this.#writer.seal(IpProtocol.Tcp, 16);
    return this.#send();
  }
}

function keyOf(address: number, remotePort: number, localPort: number): string {
  return `${address}:${remotePort}:${localPort}`;
}
