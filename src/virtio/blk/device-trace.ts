/** What the device half tells of requests. */
import type { Observer } from "../../observe/index.js";
import type { BlkDeviceRequest } from "./device-request.js";
import { blkStatusName, blkTypeName } from "./protocol.js";

/** A request came. */
export function observeRequest(observer: Observer, request: BlkDeviceRequest): void {
  const { type, sector, chain, queue, hasBarrier } = request;
  observer.emit({
    category: "block",
    source: `queue ${queue.index}`,
    name: "request",
    fields: {
      ...{ request: blkTypeName(type), barrier: hasBarrier, sector, head: chain.head },
      ...{ dataOut: chain.readable.byteLength, dataIn: request.roomIn },
    },
  });
}

/** A request was answered. */
export function observeAnswer(observer: Observer, request: BlkDeviceRequest, status: number): void {
  const { type, chain, queue, written } = request;
  observer.emit({
    category: "block",
    source: `queue ${queue.index}`,
    name: "answer",
    fields: { request: blkTypeName(type), head: chain.head, status: blkStatusName(status), written },
  });
}

/** A request failed in its store. */
export function observeFailure(observer: Observer, request: BlkDeviceRequest, error: unknown): void {
  const { type, sector, queue } = request;
  const reason = error instanceof Error ? error.message : String(error);
  observer.emit({
    category: "block",
    source: `queue ${queue.index}`,
    name: "failed",
    fields: { request: blkTypeName(type), sector, reason },
  });
}

/** A fault on demand. */
export function observeFault(observer: Observer, request: BlkDeviceRequest, kind: string): void {
  const { type, sector, queue } = request;
  observer.emit({
    category: "fault",
    source: `queue ${queue.index}`,
    name: kind,
    fields: { request: blkTypeName(type), sector },
  });
}
