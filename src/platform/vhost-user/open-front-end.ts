/** A back end of anybody as a {@link DriverTransport}: memory of our own, shared with it. */
import { DeviceError } from "../../errors/index.js";
import {
  closeDescriptor,
  createMemoryFile,
  SharedMapping,
  SystemCallError,
  UnixListener,
  UnixSocket,
} from "../../linux/index.js";
import { DmaAllocator, GuestDma, GuestMemory, MemoryRegion } from "../../memory/index.js";
import { VhostUserTransport, type VhostUserTransportOptions } from "../../transport/index.js";
import { LinuxFrontEndSystem } from "./front-end-system.js";

/** Where the back end is. */
export type BackEndPlace = { readonly connect: string } | { readonly listen: string };

/** How a back end is opened. */
export interface FrontEndOptions extends Omit<VhostUserTransportOptions, "memory" | "dma" | "files" | "system"> {
  place: BackEndPlace;
  /** Bytes of memory to share. Default 64 MiB. */
  memorySize?: number;
  /** Guest address of the memory, a multiple of 4096. Default 1 MiB. */
  memoryBase?: number;
  /** How long the back end may take to appear, in milliseconds. Default 0: it has to be there. */
  patience?: number;
  /** How long it may take for one answer, in milliseconds. Default 10 s. */
  answerLimit?: number;
}

const defaultMemorySize = 64 << 20;
const defaultMemoryBase = 1 << 20;
const retryInterval = 20;

/** A back end with memory of its own. */
export class VhostUserFrontEnd {
  readonly transport: VhostUserTransport;
  readonly memory: GuestMemory;
  readonly #mapping: SharedMapping;
  readonly #descriptor: number;
  readonly #options: FrontEndOptions;

  /** Use {@link openVhostUser}. */
  constructor(options: FrontEndOptions, socket: UnixSocket) {
    const { memorySize = defaultMemorySize, memoryBase = defaultMemoryBase } = options;
    this.#options = options;
    const system = new LinuxFrontEndSystem(socket, options.answerLimit);
    let descriptor = -1;
    let mapping: SharedMapping | undefined;
    try {
      descriptor = createMemoryFile("ringside-front-end", memorySize, { sealable: true });
      mapping = new SharedMapping(descriptor, memorySize);
      const memory = new GuestMemory([new MemoryRegion(memoryBase, mapping.bytes, { shared: true })]);
      const dma = new GuestDma(memory, new DmaAllocator(memory, memoryBase, memorySize));
      const files = [{ descriptor, offset: 0 }];
      this.transport = new VhostUserTransport({ ...options, memory, dma, files, system });
      this.memory = memory;
      this.#mapping = mapping;
      this.#descriptor = descriptor;
    } catch (error) {
      system.close();
      mapping?.close();
      if (descriptor >= 0) closeDescriptor(descriptor);
      throw error;
    }
  }

  /** Waits for the back end to be there again and goes on with it. @throws DeviceError, ProtocolError */
  async reconnect(patience = 0): Promise<void> {
    const socket = await reach(this.#options.place, patience);
    const system = new LinuxFrontEndSystem(socket, this.#options.answerLimit);
    try {
      this.transport.reconnect(system);
    } catch (error) {
      system.close();
      throw error;
    }
  }

  /** Lets go of everything; a driver is closed before. */
  close(): void {
    this.transport.close();
    this.#mapping.close();
    closeDescriptor(this.#descriptor);
  }
}

/** Reaches a back end and meets it. @throws DeviceError when there is none, ProtocolError when it is not one. */
export async function openVhostUser(options: FrontEndOptions): Promise<VhostUserFrontEnd> {
  return new VhostUserFrontEnd(options, await reach(options.place, options.patience ?? 0));
}

async function reach(place: BackEndPlace, patience: number): Promise<UnixSocket> {
  const end = performance.now() + patience;
  const listener = "listen" in place ? new UnixListener(place.listen) : undefined;
  try {
    for (;;) {
      const socket = listener === undefined ? tryConnect(place, performance.now() >= end) : listener.accept(0);
      if (socket !== undefined) return socket;
      if (performance.now() >= end) throw new DeviceError(`no back end came within ${patience} ms`);
      await new Promise((resolve) => setTimeout(resolve, retryInterval));
    }
  } finally {
    listener?.close();
  }
}

function tryConnect(place: BackEndPlace, isLast: boolean): UnixSocket | undefined {
  if (!("connect" in place)) return undefined;
  try {
    return UnixSocket.connect(place.connect);
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    if (isLast) throw new DeviceError(`no back end at ${place.connect}: ${error.message}`);
    return undefined;
  }
}
