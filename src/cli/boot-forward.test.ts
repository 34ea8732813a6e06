/** Ports that lead from this machine into a network of ours and out of it, with real sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import type { TcpConnection } from "../packet/index.js";
import { networkPair } from "../testing/index.js";
import { leadIn, leadOut } from "./boot-forward.js";

const loopback = "127.0.0.1";
const inside = { address: loopback, port: 0, guestAddress: undefined, guestPort: 80 };
const large = Uint8Array.from({ length: 1_500_000 }, (_, index) => (index * 13) ^ (index >>> 9));

/** Two networks, and a port of this machine that leads to port 80 of the far one; all of it ends with the test. */
async function forwarded(context: TestContext) {
  const pair = networkPair();
  const { port, end } = await leadIn(pair.near, inside);
  const call = () => {
    const socket = connect({ host: loopback, port, allowHalfOpen: true });
    context.after(() => socket.destroy());
    return socket;
  };
  context.after(async () => {
    pair.near.close();
    await end();
  });
  return { ...pair, call };
}

/** Sends all of `bytes` and ends. Returns how many were taken. */
function sendAll(connection: TcpConnection, bytes: Uint8Array): () => number {
  let sent = 0;
  const push = () => {
    sent += connection.write(bytes.subarray(sent));
    if (sent === bytes.length) connection.end();
  };
  connection.onDrain = push;
  push();
  return () => sent;
}

/** What comes out of a socket up to its end; nothing is read before. */
async function whole(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of socket.iterator({ destroyOnReturn: false })) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

test("hostfwd: more than all buffers hold passes both ways at once, as fast as the slower end takes it", async (context) => {
  const { near, far, call } = await forwarded(context);
  const came: Buffer[] = [];
  const guest = new Promise<boolean>((resolve) => {
    far.listen(80, (connection) => {
      connection.onData = (bytes) => {
        came.push(Buffer.from(bytes));
        if (came.length % 50 !== 0) return;
        connection.pause();
        setTimeout(() => connection.resume(), 5);
      };
      connection.onClose = resolve;
      sendAll(connection, large);
    });
  });
  const socket = call();
  socket.end(large);
  assert.equal(Buffer.compare(await whole(socket), large), 0);
  assert.equal(await guest, true, "both ends had sent everything");
  assert.equal(Buffer.compare(Buffer.concat(came), large), 0);
  // The last acknowledgement is still on the cable.
  for (let turn = 0; turn < 200 && near.connections > 0; turn++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual([near.connections, far.connections], [0, 0]);
});

test("hostfwd: who does not read holds the guest up instead of filling memory, and gets everything in the end", async (context) => {
  const { far, call } = await forwarded(context);
  const much = Buffer.concat(new Array<Uint8Array>(8).fill(large));
  let sent = () => 0;
  far.listen(80, (connection) => {
    sent = sendAll(connection, much);
  });
  const socket = call();
  for (let before = -1; sent() === 0 || before !== sent(); ) {
    before = sent();
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
  assert.ok(sent() < much.length / 2, `${sent()} bytes went somewhere`);
  assert.equal(Buffer.compare(await whole(socket), much), 0);
});

test("hostfwd: where nobody listens in the guest the connection is reset; one that is cut off here is cut off there", async (context) => {
  const { near, far, call } = await forwarded(context);
  const refused = call();
  const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
  const over = new Promise<boolean>((resolve) => {
    far.listen(80, (connection) => {
      connection.onClose = resolve;
      connection.write(Uint8Array.of(1));
    });
  });
  const cut = call();
  await once(cut, "data");
  cut.resetAndDestroy();
  assert.equal(await over, false);
  assert.equal(near.connections, 0);
});

test("guestfwd: the guest's connections to 10.0.2.2 reach a port of this machine, and end when nobody is there", async () => {
  const { near, far } = networkPair();
  const server = createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket)).listen(0, loopback);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  leadOut(near, { ...inside, port });
  const call = () => {
    const connection = far.dial(80);
    const came: Buffer[] = [];
    connection.onData = (bytes) => came.push(Buffer.from(bytes));
    return new Promise<{ wasClean: boolean; came: Buffer }>((resolve) => {
      connection.onClose = (wasClean) => resolve({ wasClean, came: Buffer.concat(came) });
      sendAll(connection, large);
    });
  };
  const echoed = await call();
  assert.deepEqual([echoed.wasClean, Buffer.compare(echoed.came, large)], [true, 0]);
  server.close();
  await once(server, "close");
  assert.equal((await call()).wasClean, false);
});
