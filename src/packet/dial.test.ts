/** Connections that the network asks for, between two networks of ours on a cable that may lose frames. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { networkPair } from "../testing/index.js";
import type { TcpConnection } from "./index.js";

/** What a connection says, up to its end. */
function whole(connection: TcpConnection): Promise<{ bytes: number[]; wasClean: boolean }> {
  const bytes: number[] = [];
  connection.onData = (data) => bytes.push(...data);
  return new Promise((resolve) => {
    connection.onClose = (wasClean) => resolve({ bytes, wasClean });
  });
}

const pattern = Uint8Array.from({ length: 40_000 }, (_, index) => (index * 7) ^ (index >>> 8));

for (const [name, loses] of [
  ["on a good cable", () => false],
  ["on a cable that loses every ninth frame, and the first three", (count: number) => count < 3 || count % 9 === 0],
] as const) {
  test(`dial, ${name}: the other end's address is asked for, and bytes arrive both ways, also those written before`, async () => {
    const { near, far } = networkPair(loses);
    const taken = new Promise<{ bytes: number[]; wasClean: boolean }>((resolve) => {
      far.listen(22, (connection) => {
        resolve(whole(connection));
        connection.onEnd = () => {
          connection.write(pattern.subarray(0, 5000));
          connection.end();
        };
      });
    });
    const connection = near.dial(22);
    let opened = 0;
    connection.onOpen = () => opened++;
    connection.onEnd = () => {};
    const answer = whole(connection);
    assert.equal(connection.write(pattern), pattern.length);
    connection.end();
    assert.deepEqual(await taken, { bytes: [...pattern], wasClean: true });
    assert.deepEqual(await answer, { bytes: [...pattern.subarray(0, 5000)], wasClean: true });
    assert.equal(opened, 1);
    assert.deepEqual([near.connections, far.connections], [0, 0]);
  });
}

test("an end that was acknowledged is not sent again while the other end goes on sending", async () => {
  const ends: number[] = [];
  const { near, far } = networkPair((_, frame) => {
    const { view } = frame;
    // IPv4 with TCP: the port it comes from, its flags.
    const isOurs = view.getUint16(12) === 0x0800 && view.getUint16(34) >= 0xc000;
    if (isOurs && (view.getUint8(47) & 1) !== 0) ends.push(view.getUint32(38));
    return false;
  });
  far.listen(22, (connection) => {
    connection.onEnd = () => {
      let left = 5;
      const timer = setInterval(() => {
        connection.write(Uint8Array.of(left));
        if (--left > 0) return;
        clearInterval(timer);
        connection.end();
      }, 10);
    };
  });
  const connection = near.dial(22);
  connection.end();
  assert.deepEqual(await whole(connection), { bytes: [5, 4, 3, 2, 1], wasClean: true });
  assert.equal(ends.length, 1);
});

test("dial: a port where nobody listens closes the connection, which never was open", async () => {
  const { near } = networkPair();
  const connection = near.dial(23);
  let opened = false;
  connection.onOpen = () => {
    opened = true;
  };
  assert.deepEqual(await whole(connection), { bytes: [], wasClean: false });
  assert.equal(opened, false);
  assert.equal(connection.write(Uint8Array.of(1)), 0);
});

test("dial: ports of our own are all different, and the 65th connection ends the oldest", () => {
  const { near } = networkPair(() => true);
  const connections = Array.from({ length: 65 }, () => near.dial(80));
  assert.equal(new Set(connections.map(({ localPort }) => localPort)).size, 65);
  assert.deepEqual([near.connections, connections[0].isClosed, connections[1].isClosed], [64, true, false]);
  near.close();
  assert.equal(near.connections, 0);
});
