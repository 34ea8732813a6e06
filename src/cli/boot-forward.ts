/** Ports of this machine and ports of the user network that lead to each other: bytes both ways, at the slower end's pace. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TcpConnection, UserNetwork } from "../packet/index.js";
import { UsageError, WorkFailed } from "./errors.js";

/** A port of this machine, and one of the network's, that belong together. */
export interface Forward {
  /** An address of this machine: where it listens, or what is connected to. */
  readonly address: string;
  /** Its port; where it listens, 0 takes a free one. */
  readonly port: number;
  /** Default what DHCP gives the guest. */
  readonly guestAddress: number | undefined;
  readonly guestPort: number;
}

/** Listens on this machine: each connection becomes one to the guest. @throws WorkFailed when nobody can listen there */
export async function leadIn(
  network: UserNetwork,
  { address, port, guestAddress, guestPort }: Forward,
): Promise<{ readonly port: number; readonly end: () => Promise<void> }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    join(network.dial(guestPort, guestAddress), socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(new WorkFailed(`cannot listen on ${address}:${port}: ${error.code ?? error.message}`, { cause: error }));
    });
    server.listen(port, address, resolve);
  });
  const end = () => new Promise<void>((resolve) => void server.close(() => resolve()));
  return { port: (server.address() as AddressInfo).port, end };
}

/** Listens in the network: each connection of the guest's becomes one to this machine. @throws UsageError */
export function leadOut(network: UserNetwork, { address, port, guestPort }: Forward): void {
  try {
    network.listen(guestPort, (connection) => {
      join(connection, connect({ host: address, port, allowHalfOpen: true }));
    });
  } catch (error) {
    throw new UsageError(`guestfwd: ${(error as Error).message}`, { cause: error });
  }
}

/** Carries bytes, ends and failures over, both ways. */
function join(connection: TcpConnection, socket: Socket): void {
  let rest: Uint8Array | undefined;
  let hasEnded = false;
  const push = () => {
    if (rest !== undefined) {
      const taken = connection.write(rest);
      rest = taken < rest.length ? rest.subarray(taken) : undefined;
    }
    if (rest !== undefined) return;
    if (hasEnded) connection.end();
    else socket.resume();
  };
  socket.on("data", (bytes: Buffer) => {
    rest = bytes;
    socket.pause();
    push();
  });
  socket.on("end", () => {
    hasEnded = true;
    push();
  });
  socket.on("drain", () => connection.resume());
  // What went wrong with it is the other end's to see: it is cut off there too.
  socket.on("error", () => {});
  socket.on("close", (hadError) => {
    if (hadError || !hasEnded) connection.abort();
  });
  connection.onDrain = push;
  connection.onData = (bytes) => {
    if (!socket.write(bytes.slice())) connection.pause();
  };
  connection.onEnd = () => socket.end();
  connection.onClose = (wasClean) => {
    if (!wasClean) socket.resetAndDestroy();
  };
}
