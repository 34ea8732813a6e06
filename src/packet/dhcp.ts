/** A DHCP server for one client (RFC 2131): discover is offered, request is acknowledged, always the same address. */

/** What the client is told. All addresses are 32-bit numbers. */
export interface DhcpLease {
  readonly server: number;
  readonly client: number;
  readonly netmask: number;
  readonly router: number;
  readonly seconds: number;
  readonly mtu: number;
}

/** Ports of server and client. */
export const DhcpPort = { Server: 67, Client: 68 } as const;

const MessageType = { Discover: 1, Offer: 2, Request: 3, Acknowledge: 5, Refuse: 6, Inform: 8 } as const;
const Option = {
  Pad: 0,
  Netmask: 1,
  Router: 3,
  Mtu: 26,
  RequestedAddress: 50,
  LeaseTime: 51,
  MessageType: 53,
  Server: 54,
  End: 255,
} as const;
const magic = 0x6382_5363;
const optionsAt = 240;
/** Relays and old clients expect at least so much. */
const replyLength = 300;

/** The answer to a client's message, or undefined when there is none. */
export function answerDhcp(request: Uint8Array, lease: DhcpLease): Uint8Array | undefined {
  if (request.length < optionsAt) return undefined;
  const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
  const isRequest = request[0] === 1 && request[1] === 1 && request[2] === 6 && view.getUint32(236) === magic;
  if (!isRequest) return undefined;
  const options = readOptions(request);
  const type = answerType(options, view, lease);
  if (type === undefined) return undefined;
  const reply = new Uint8Array(replyLength);
  const out = new DataView(reply.buffer);
  reply.set(request.subarray(0, 8));
  reply[0] = 2;
  reply[3] = 0;
  reply.set(request.subarray(10, 12), 10);
  const refuses = type === MessageType.Refuse;
  if (options.get(Option.MessageType)?.[0] === MessageType.Inform) reply.set(request.subarray(12, 16), 12);
  else if (!refuses) out.setUint32(16, lease.client);
  out.setUint32(20, lease.server);
  reply.set(request.subarray(28, 44), 28);
  out.setUint32(236, magic);
  let at = optionsAt;
  const put = (option: number, ...bytes: number[]) => {
    reply.set([option, bytes.length, ...bytes], at);
    at += 2 + bytes.length;
  };
  put(Option.MessageType, type);
  put(Option.Server, ...fourBytes(lease.server));
  if (!refuses) {
    put(Option.LeaseTime, ...fourBytes(lease.seconds));
    put(Option.Netmask, ...fourBytes(lease.netmask));
    put(Option.Router, ...fourBytes(lease.router));
    put(Option.Mtu, lease.mtu >>> 8, lease.mtu & 0xff);
  }
  reply[at] = Option.End;
  return reply;
}

function answerType(options: ReadonlyMap<number, Uint8Array>, view: DataView, lease: DhcpLease): number | undefined {
  switch (options.get(Option.MessageType)?.[0]) {
    case MessageType.Discover:
      return MessageType.Offer;
    case MessageType.Inform:
      return MessageType.Acknowledge;
    case MessageType.Request: {
      const server = asAddress(options.get(Option.Server));
      if (server !== undefined && server !== lease.server) return undefined;
      const wanted = asAddress(options.get(Option.RequestedAddress)) ?? view.getUint32(12);
      return wanted === lease.client ? MessageType.Acknowledge : MessageType.Refuse;
    }
    default:
      return undefined;
  }
}

function readOptions(request: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = optionsAt; at < request.length && request[at] !== Option.End; ) {
    if (request[at] === Option.Pad) {
      at++;
      continue;
    }
    const length = request[at + 1] ?? 0;
    options.set(request[at], request.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}

function asAddress(bytes: Uint8Array | undefined): number | undefined {
  return bytes?.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) : undefined;
}

function fourBytes(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}
