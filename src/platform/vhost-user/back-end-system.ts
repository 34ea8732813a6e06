/** Mappings, event descriptors and sockets for the back end, on Linux. */
import { ProtocolError } from "../../errors/index.js";
import {
  closeDescriptor,
  createMemoryFile,
  fileFacts,
  guardMemory,
  isEventDescriptor,
  preventShrinking,
  SharedMapping,
  sendWithDescriptors,
  setNonBlocking,
  signalEvent,
  watchEvent,
} from "../../linux/index.js";
import {
  type BackChannel,
  type BackEndSystem,
  type EventSystem,
  type MappedMemory,
  MessageFlag,
  messageHeader,
  wire,
} from "../../transport/index.js";

/** Event descriptors on Node's event loop. */
export const nodeEvents: EventSystem = {
  watch: watchEvent,
  signal: signalEvent,
  soon(then) {
    const immediate = setImmediate(then);
    return { close: () => clearImmediate(immediate) };
  },
};

/** Linux, for any number of back ends. */
export const linuxBackEndSystem: BackEndSystem = {
  identify(descriptor) {
    return checkedFacts(descriptor).identity;
  },

  map(descriptor, offset, size) {
    const facts = checkedFacts(descriptor);
    if (offset + size > facts.size) {
      throw refused(`${size} bytes at ${offset} of a file of ${facts.size} bytes`);
    }
    // Huge pages are mapped whole.
    const start = offset - (offset % facts.pageSize);
    const end = Math.ceil((offset + size) / facts.pageSize) * facts.pageSize;
    const canShrink = !preventShrinking(descriptor);
    try {
      return mappedPart(new SharedMapping(descriptor, end - start, start), offset - start, size, canShrink);
    } catch (error) {
      throw refused(error instanceof Error ? error.message : String(error));
    }
  },

  prepareEvent(descriptor) {
    // A call that its reader never takes must not hold us up: the counter is full then, and that is told enough.
    if (isEventDescriptor(descriptor)) setNonBlocking(descriptor);
    else throw new ProtocolError("message-descriptors", { detail: "not an event descriptor" });
  },

  signal: signalEvent,
  close: closeDescriptor,

  createMemory(size) {
    return createMemoryFile("ringside-inflight", size, { sealable: true });
  },

  openBackChannel(descriptor) {
    return new SocketBackChannel(descriptor);
  },
};

function checkedFacts(descriptor: number): ReturnType<typeof fileFacts> {
  const facts = fileFacts(descriptor);
  if (!facts.isFile) throw refused("the descriptor is no file");
  return facts;
}

function refused(detail: string): ProtocolError {
  return new ProtocolError("memory-region-invalid", { detail });
}

function mappedPart(mapping: SharedMapping, start: number, size: number, canShrink: boolean): MappedMemory {
  // What cannot be sealed is guarded: a front end that makes its memory smaller loses its own data, and ends nobody.
  const guard = canShrink ? guardMemory(mapping.address, mapping.bytes.length) : undefined;
  return {
    bytes: mapping.bytes.subarray(start, start + size),
    address: mapping.address + start,
    canShrink: canShrink && guard === undefined,
    close() {
      guard?.close();
      mapping.close();
    },
  };
}

/** Requests without payload and without an answer. */
class SocketBackChannel implements BackChannel {
  #descriptor: number;

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  send(request: number): void {
    if (this.#descriptor < 0) return;
    const message = new Uint8Array(messageHeader.size);
    messageHeader.write(new DataView(message.buffer), 0, wire, { request, flags: MessageFlag.Version, size: 0 });
    try {
      if (sendWithDescriptors(this.#descriptor, message, 0, message.length, []) === message.length) return;
    } catch {
      // It is no socket, or nobody listens.
    }
    this.close();
  }

  close(): void {
    if (this.#descriptor >= 0) closeDescriptor(this.#descriptor);
    this.#descriptor = -1;
  }
}
