/**
 * Messages with file descriptors in them (SCM_RIGHTS): Node's own sockets can neither send nor receive those. The
 * calls never wait; ask for readiness first.
 */
import { closeDescriptor } from "./descriptor.js";
import { libcFunction } from "./libc.js";
import { NativeBuffer } from "./native-buffer.js";
import { SystemCallError, systemCallError, wasInterrupted, wouldBlock } from "./system-error.js";

const sendCall = libcFunction("int64_t sendmsg(int, void *, int)");
const receiveCall = libcFunction("int64_t recvmsg(int, void *, int)");
const pairCall = libcFunction("int socketpair(int, int, int, void *)");

const doNotWait = 0x40;
const noSignal = 0x4000;
const closeOnExec = 0x4000_0000;
const controlCut = 0x8;
const socketLevel = 1;
const rights = 1;
const familyUnix = 1;
const streamCloseOnExec = 1 | 0o2000000;

/** Descriptors in one message; the kernel allows 253. */
export const maxPassedDescriptors = 32;
/** Bytes that one call moves at most. */
export const maxPassedBytes = 8192;

// One buffer for all calls (they do not overlap): `struct msghdr`, `struct iovec`, control data, bytes.
const vectorAt = 64;
const controlAt = 128;
const controlHeader = 16;
const controlSize = controlHeader + 4 * maxPassedDescriptors;
const bytesAt = 4096;
let area: NativeBuffer | undefined;

/** Fills in the header for `length` bytes and `control` bytes of control data. */
function prepare(length: number, control: number): NativeBuffer {
  area ??= new NativeBuffer(bytesAt + maxPassedBytes);
  const { view, address } = area;
  area.bytes.fill(0, 0, vectorAt);
  view.setBigUint64(16, address + BigInt(vectorAt), true);
  view.setBigUint64(24, 1n, true);
  view.setBigUint64(32, control === 0 ? 0n : address + BigInt(controlAt), true);
  view.setBigUint64(40, BigInt(control), true);
  view.setBigUint64(vectorAt, address + BigInt(bytesAt), true);
  view.setBigUint64(vectorAt + 8, BigInt(length), true);
  return area;
}

/**
 * Sends `length` bytes of `bytes` from `at` on, with descriptors (which stay the caller's) on the first byte.
 * @returns the number of bytes that were taken; -1 when the peer takes none now.
 * @throws SystemCallError `EPIPE`, `ENOTSOCK` …
 */
export function sendWithDescriptors(
  socket: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  descriptors: readonly number[],
): number {
  if (length > maxPassedBytes) throw new RangeError(`${length} bytes in one message, at most ${maxPassedBytes}`);
  if (descriptors.length > maxPassedDescriptors) throw new RangeError(`too many descriptors: ${descriptors.length}`);
  const control = descriptors.length === 0 ? 0 : controlHeader + 4 * descriptors.length;
  const { bytes: all, view, address } = prepare(length, control);
  all.set(bytes.subarray(at, at + length), bytesAt);
  if (control > 0) {
    view.setBigUint64(controlAt, BigInt(control), true);
    view.setInt32(controlAt + 8, socketLevel, true);
    view.setInt32(controlAt + 12, rights, true);
    descriptors.forEach((descriptor, index) => {
      view.setInt32(controlAt + controlHeader + 4 * index, descriptor, true);
    });
  }
  for (;;) {
    const sent: number = sendCall()(socket, address, doNotWait | noSignal);
    if (sent >= 0) return sent;
    if (wouldBlock()) return -1;
    if (!wasInterrupted()) throw systemCallError("sendmsg");
  }
}

/**
 * Receives up to `length` bytes into `target` at `at`. Descriptors that come with them are appended to `descriptors`
 * and are the caller's to close, also when this throws; without a list they are dropped.
 * @returns the number of bytes; 0 at the end of the connection; -1 when there is nothing now.
 * @throws SystemCallError `ECONNRESET` …; `EMSGSIZE` when more descriptors came than {@link maxPassedDescriptors}.
 */
export function receiveWithDescriptors(
  socket: number,
  target: Uint8Array,
  at: number,
  length: number,
  descriptors?: number[],
): number {
  const wanted = Math.min(length, maxPassedBytes);
  for (;;) {
    const { bytes, view, address } = prepare(wanted, descriptors === undefined ? 0 : controlSize);
    const received: number = receiveCall()(socket, address, doNotWait | closeOnExec);
    if (received < 0) {
      if (wouldBlock()) return -1;
      if (wasInterrupted()) continue;
      throw systemCallError("recvmsg");
    }
    target.set(bytes.subarray(bytesAt, bytesAt + received), at);
    if (descriptors !== undefined) {
      takeDescriptors(view, Number(view.getBigUint64(40, true)), descriptors);
      if ((view.getInt32(48, true) & controlCut) !== 0) {
        throw new SystemCallError("recvmsg", "EMSGSIZE", "too many descriptors in one message");
      }
    }
    return received;
  }
}

function takeDescriptors(view: DataView, controlLength: number, descriptors: number[]): void {
  let at = 0;
  while (at + controlHeader <= controlLength) {
    const length = Number(view.getBigUint64(controlAt + at, true));
    if (length < controlHeader || at + length > controlLength) return;
    const isRights =
      view.getInt32(controlAt + at + 8, true) === socketLevel && view.getInt32(controlAt + at + 12, true) === rights;
    for (let offset = controlHeader; isRights && offset + 4 <= length; offset += 4) {
      descriptors.push(view.getInt32(controlAt + at + offset, true));
    }
    at += (length + 7) & ~7;
  }
}

/** Two connected stream sockets, which the caller closes. @throws SystemCallError */
export function createSocketPair(): [number, number] {
  const pair = new Int32Array(2);
  if (pairCall()(familyUnix, streamCloseOnExec, 0, pair) < 0) throw systemCallError("socketpair");
  return [pair[0], pair[1]];
}

/** Closes every descriptor of a list and empties it. */
export function closeDescriptors(descriptors: number[]): void {
  for (const descriptor of descriptors.splice(0)) closeDescriptor(descriptor);
}
