/** What rings tell of chains: one event for the chain and one for each of its pieces. */
import type { Scatter } from "../memory/index.js";
import type { Observer } from "../observe/index.js";
import type { Chain } from "./chain.js";
import type { ChainPieces } from "./queue.js";

/** The driver added a chain. */
export function observeAdded(
  observer: Observer,
  queue: number,
  head: number,
  pieces: ChainPieces,
  indirect: boolean,
): void {
  const { count, readableCount } = pieces;
  const source = `queue ${queue}`;
  observer.emit({ category: "ring", source, name: "available", fields: { head, descriptors: count, indirect } });
  for (let piece = 0; piece < count; piece++) {
    const length = pieces.lengths[piece];
    const access = piece < readableCount ? "read" : "write";
    const fields = { head, piece, address: pieces.addresses[piece], length, access };
    observer.emit({ category: "ring", source, name: "descriptor", fields });
  }
}

/** The device took a chain. */
export function observePopped(observer: Observer, queue: number, chain: Chain): void {
  const { head, readable, writable } = chain;
  const source = `queue ${queue}`;
  const fields = { head, readable: readable.byteLength, writable: writable.byteLength };
  observer.emit({ category: "ring", source, name: "pop", fields });
  observePieces(observer, source, head, readable, "read");
  observePieces(observer, source, head, writable, "write");
}

function observePieces(observer: Observer, source: string, head: number, scatter: Scatter, access: string): void {
  for (let piece = scatter.first; piece < scatter.end; piece++) {
    const address = scatter.regions[piece].base + scatter.offsets[piece];
    const fields = { head, piece, address, length: scatter.lengths[piece], access };
    observer.emit({ category: "ring", source, name: "descriptor", fields });
  }
}

/** A chain was given back. */
export function observeUsed(observer: Observer, queue: number, head: number, written: number): void {
  observer.emit({ category: "ring", source: `queue ${queue}`, name: "used", fields: { head, written } });
}
