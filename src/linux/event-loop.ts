/**
 * Waiting for any descriptor with Node's own event loop: no thread, no polling.
 *
 * Node only waits for descriptors of kinds that it knows. So a socket is made, given to Node, and the descriptor is put
 * in its place under the same number before Node starts to wait. An event descriptor is then read by Node like a pipe.
 * A socket must not be read by Node (the descriptors in its messages would be lost): there Node waits for an epoll
 * descriptor that holds the socket; trying to read that fails, and the failure is the news.
 */
import { Socket } from "node:net";
import { closeDescriptor } from "./descriptor.js";
import { createSocketPair } from "./descriptor-passing.js";
import { libcFunction } from "./libc.js";
import { systemCallError } from "./system-error.js";

const replaceCall = libcFunction("int dup3(int, int, int)");
const epollCreate = libcFunction("int epoll_create1(int)");
const epollControl = libcFunction("int epoll_ctl(int, int, int, void *)");

const closeOnExec = 0o2000000;
const add = 1;
const readable = 1;
/** Larger than what an event descriptor gives, so that Node reads once only. */
const eventBytes = 16;

/** A wait that goes on until it is closed. */
export interface Watch {
  /** Stops waiting; the descriptor may be closed afterwards. May be called again. */
  close(): void;
}

/** A Node socket that waits for `descriptor` and reads from it. */
function nodeSocket(descriptor: number, onData?: () => void): Socket {
  const [place, other] = createSocketPair();
  closeDescriptor(other);
  const buffer = new Uint8Array(eventBytes);
  const callback = () => {
    onData?.();
    return true;
  };
  const socket = new Socket({
    fd: place,
    readable: true,
    writable: false,
    ...(onData === undefined ? {} : { onread: { buffer, callback } }),
  });
  if (replaceCall()(descriptor, place, closeOnExec) < 0) {
    const error = systemCallError("dup3");
    socket.destroy();
    throw error;
  }
  return socket;
}

/**
 * Calls `onEvent` each time an event descriptor was signalled; its count is taken back to 0 before.
 * @param descriptor must be an event descriptor (`isEventDescriptor`) that does not block.
 * @throws SystemCallError
 */
export function watchEvent(descriptor: number, onEvent: () => void): Watch {
  let open = true;
  const socket = nodeSocket(descriptor, () => {
    if (open) onEvent();
  });
  socket.on("error", () => {});
  return {
    close() {
      open = false;
      socket.destroy();
    },
  };
}

/** A wait for one time, that can be begun again. */
export interface ReadableWatch extends Watch {
  /** Waits (again). Nothing happens when it waits already. */
  arm(): void;
}

/**
 * Calls `onReadable` once, after each `arm`, when a socket has something to receive or to accept or is at its end. About
 * 30 µs each time: for control connections, not for data.
 * @throws SystemCallError
 */
export function watchReadable(descriptor: number, onReadable: () => void): ReadableWatch {
  const epoll: number = epollCreate()(closeOnExec);
  if (epoll < 0) throw systemCallError("epoll_create1");
  const event = new Uint8Array(12);
  new DataView(event.buffer).setUint32(0, readable, true);
  if (epollControl()(epoll, add, descriptor, event) < 0) {
    const error = systemCallError("epoll_ctl");
    closeDescriptor(epoll);
    throw error;
  }
  let socket: Socket | undefined;
  let isOpen = true;
  return {
    arm() {
      if (!isOpen || socket !== undefined) return;
      const waiting = nodeSocket(epoll);
      socket = waiting;
      waiting.on("error", () => {
        if (socket !== waiting) return;
        socket = undefined;
        onReadable();
      });
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      socket?.destroy();
      socket = undefined;
      closeDescriptor(epoll);
    },
  };
}
