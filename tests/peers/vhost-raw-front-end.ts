/** A front end that sends what a test tells it to, in any order, right or wrong. Never waits in a call. */
import {
  clearEvent,
  closeDescriptor,
  closeDescriptors,
  createEventDescriptor,
  createMemoryFile,
  receiveWithDescriptors,
  SharedMapping,
  sendWithDescriptors,
  signalEvent,
  UnixSocket,
} from "../../src/linux/index.js";
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../../src/memory/index.js";
import {
  FrontEndRequest,
  MessageFlag,
  memoryRegion,
  memoryTableHeader,
  messageHeader,
  numberPayload,
  singleRegion,
  vringAddress,
  vringState,
  wire,
} from "../../src/transport/index.js";
import { ChainPieces, compactLayout, layoutAt, type RingAddresses, SplitDriver } from "../../src/virtqueue/index.js";

export const userBase = 2 ** 40;
const answerLimit = 5000;

/** An answer. */
export interface RawReply {
  readonly request: number;
  readonly flags: number;
  readonly payload: DataView;
  readonly descriptors: number[];
}

export interface RawMessage {
  readonly flags?: number;
  readonly payload?: Uint8Array;
  readonly descriptors?: readonly number[];
  /** What the header says instead of the payload's size. */
  readonly size?: number;
}

export class RawFrontEnd {
  readonly socket: UnixSocket;
  readonly memoryFile: number;
  readonly mapping: SharedMapping;
  readonly memory: GuestMemory;
  readonly dma: GuestDma;
  readonly size: number;
  readonly #descriptors: number[] = [];

  constructor(path: string, size = 4 << 20, base = 0x10_0000, sealable = true) {
    this.size = size;
    this.socket = UnixSocket.connect(path);
    this.memoryFile = createMemoryFile("raw-front-end", size, { sealable });
    this.mapping = new SharedMapping(this.memoryFile, size);
    this.memory = new GuestMemory([new MemoryRegion(base, this.mapping.bytes, { shared: true })]);
    this.dma = new GuestDma(this.memory, new DmaAllocator(this.memory, base, size));
  }

  get base(): number {
    return this.memory.regions[0].base;
  }

  /** An event descriptor that is closed with the front end. */
  event(): number {
    const descriptor = createEventDescriptor();
    this.#descriptors.push(descriptor);
    return descriptor;
  }

  bytes(bytes: Uint8Array, descriptors: readonly number[] = []): boolean {
    try {
      return sendWithDescriptors(this.socket.descriptor, bytes, 0, bytes.length, descriptors) === bytes.length;
    } catch {
      return false;
    }
  }

  /** False when the connection is closed or full. */
  send(request: number, { flags = 0, payload = new Uint8Array(0), descriptors = [], size }: RawMessage = {}): boolean {
    const message = new Uint8Array(messageHeader.size + payload.length);
    const header = { request, flags: MessageFlag.Version ^ flags, size: size ?? payload.length };
    messageHeader.write(new DataView(message.buffer), 0, wire, header);
    message.set(payload, messageHeader.size);
    return this.bytes(message, descriptors);
  }

  /** The next answer; undefined when the connection was closed. */
  async reply(): Promise<RawReply | undefined> {
    const header = new Uint8Array(messageHeader.size);
    const descriptors: number[] = [];
    if (!(await this.#receive(header, descriptors))) return undefined;
    const { request, flags, size } = messageHeader.read(new DataView(header.buffer), 0, wire);
    const payload = new Uint8Array(size);
    if (size > 0 && !(await this.#receive(payload, descriptors))) return undefined;
    this.#descriptors.push(...descriptors);
    return { request, flags, payload: new DataView(payload.buffer), descriptors };
  }

  async ask(request: number, message: RawMessage = {}): Promise<RawReply> {
    this.send(request, message);
    const reply = await this.reply();
    if (reply?.request !== request || reply.flags !== 5)
      throw new Error(`request ${request}: ${reply?.request} ${reply?.flags}`);
    return reply;
  }

  async askNumber(request: number, message: RawMessage = {}): Promise<bigint> {
    return numberPayload.read((await this.ask(request, message)).payload, 0, wire).value;
  }

  /** Sends with need_reply; what the acknowledgement says. */
  acknowledged(request: number, message: RawMessage = {}): Promise<bigint> {
    return this.askNumber(request, { ...message, flags: MessageFlag.NeedReply });
  }

  /** True when the back end closed the connection. */
  async isClosed(): Promise<boolean> {
    return (await this.reply()) === undefined;
  }

  table(offset = 0, size = this.size): RawMessage {
    const payload = new Uint8Array(memoryTableHeader.size + memoryRegion.size);
    memoryTableHeader.write(new DataView(payload.buffer), 0, wire, { count: 1, padding: 0 });
    memoryRegion.write(new DataView(payload.buffer), memoryTableHeader.size, wire, this.region(offset, size));
    return { payload, descriptors: [this.memoryFile] };
  }

  region(offset = 0, size = this.size) {
    const at = BigInt(this.base + offset);
    return { guestAddress: at, size: BigInt(size), userAddress: BigInt(userBase) + at, offset: BigInt(offset) };
  }

  single(offset = 0, size = this.size): RawMessage {
    const payload = new Uint8Array(singleRegion.size);
    singleRegion.write(new DataView(payload.buffer), 0, wire, { padding: 0n, ...this.region(offset, size) });
    return { payload, descriptors: [this.memoryFile] };
  }

  close(): void {
    this.socket.close();
    this.mapping.close();
    closeDescriptor(this.memoryFile);
    closeDescriptors(this.#descriptors);
  }

  async #receive(target: Uint8Array, descriptors: number[]): Promise<boolean> {
    const deadline = Date.now() + answerLimit;
    for (let done = 0; done < target.length; ) {
      let count: number;
      try {
        count = receiveWithDescriptors(this.socket.descriptor, target, done, target.length - done, descriptors);
      } catch {
        return false;
      }
      if (count === 0) return false;
      if (count > 0) done += count;
      else if (Date.now() > deadline) throw new Error("no answer");
      else await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return true;
  }
}

export function numberOf(value: number | bigint): Uint8Array {
  const payload = new Uint8Array(numberPayload.size);
  numberPayload.write(new DataView(payload.buffer), 0, wire, { value: BigInt(value) });
  return payload;
}

export function stateOf(index: number, value: number): Uint8Array {
  const payload = new Uint8Array(vringState.size);
  vringState.write(new DataView(payload.buffer), 0, wire, { index, value });
  return payload;
}

/** A ring of a raw front end: virtio-blk requests, one at a time. */
export class RawRing {
  readonly index: number;
  readonly size: number;
  readonly kick: number;
  readonly call: number;
  readonly addresses: RingAddresses;
  readonly driver: SplitDriver<number>;
  readonly #frontEnd: RawFrontEnd;
  readonly #header: number;
  readonly #data: number;

  constructor(
    frontEnd: RawFrontEnd,
    index: number,
    options: { size?: number; indirect?: boolean; eventIndex?: boolean } = {},
  ) {
    const { size = 128, indirect = false, eventIndex = false } = options;
    const { memory, dma } = frontEnd;
    this.#frontEnd = frontEnd;
    this.index = index;
    this.size = size;
    const layout = compactLayout(size);
    this.addresses = layoutAt(layout, dma.allocate(layout.byteLength, 4096).address);
    const { addresses } = this;
    this.driver = new SplitDriver(memory, { index, size, addresses, endianness: "little", indirect, eventIndex, dma });
    this.kick = frontEnd.event();
    this.call = frontEnd.event();
    this.#header = dma.allocate(32, 16).address;
    this.#data = dma.allocate(65536, 4096).address;
  }

  address(): Uint8Array {
    const payload = new Uint8Array(vringAddress.size);
    const user = (address: number) => BigInt(userBase + address);
    vringAddress.write(new DataView(payload.buffer), 0, wire, {
      ...{ index: this.index, flags: 0, log: 0n },
      descriptors: user(this.addresses.descriptors),
      used: user(this.addresses.used),
      available: user(this.addresses.available),
    });
    return payload;
  }

  /** Makes a request available. */
  submit(type: number, sector: number, data: Uint8Array): void {
    const { memory } = this.#frontEnd;
    const header = new DataView(new ArrayBuffer(16));
    header.setUint32(0, type, true);
    header.setUint32(8, sector, true);
    memory.write(this.#header, new Uint8Array(header.buffer));
    memory.write(this.#header + 16, Uint8Array.of(0xff));
    const pieces = new ChainPieces();
    pieces.addReadable(this.#header, 16);
    if (type === 1) {
      memory.write(this.#data, data);
      pieces.addReadable(this.#data, data.length);
    } else if (data.length > 0) pieces.addWritable(this.#data, data.length);
    pieces.addWritable(this.#header + 16, 1);
    this.driver.add(pieces, sector);
    this.driver.publish();
  }

  /** Waits for the call, then for the request's end: its status. */
  async finish(data: Uint8Array, waitsForCall = true): Promise<number> {
    const deadline = Date.now() + answerLimit;
    while (waitsForCall && !clearEvent(this.call)) {
      if (Date.now() > deadline) throw new Error("no call");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    while (this.driver.reap() === undefined) {
      if (Date.now() > deadline) throw new Error("no end");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    this.driver.enableInterrupts();
    const { memory } = this.#frontEnd;
    data.set(memory.read(this.#data, data.length));
    return memory.read(this.#header + 16, 1)[0];
  }

  /** Writes, reads back, compares: throws when anything is not as it should be. */
  async verify(seed: number): Promise<void> {
    const data = Uint8Array.from({ length: 4096 }, (_, index) => (index * seed) & 0xff);
    for (const type of [1, 0]) {
      const got = new Uint8Array(4096);
      if (type === 1) got.set(data);
      this.submit(type, 8 * seed, got);
      signalEvent(this.kick);
      if (type === 0) got.fill(0);
      const status = await this.finish(got);
      if (status !== 0 || !got.every((byte, index) => byte === data[index])) throw new Error(`status ${status}`);
    }
  }
}

/** Requests by short names. */
export const q = FrontEndRequest;
