import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { QemuError, QmpClient } from "./index.js";

const folder = mkdtempSync(join(tmpdir(), "ringside-qmp-"));
test.after(() => rmSync(folder, { recursive: true }));
let number = 0;

/** A client, and a peer that answers each command by `answer`; greeting and negotiation are answered for it. */
async function peer(answer: (message: { execute: string; id: number }, socket: Socket) => void, timeout = 5000) {
  const path = join(folder, `socket${number++}`);
  let accepted: ((socket: Socket) => void) | undefined;
  const first = new Promise<Socket>((resolve) => (accepted = resolve));
  const server = createServer((socket) => accepted?.(socket));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const socket = connect(path);
  socket.on("error", () => {});
  socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
  let text = "";
  socket.setEncoding("utf8").on("data", (data) => {
    text += data;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const message = JSON.parse(text.slice(0, end));
      text = text.slice(end + 1);
      if (message.execute === "qmp_capabilities") socket.write(`{"return": {}, "id": ${message.id}}\r\n`);
      else answer(message, socket);
    }
  });
  const client = await QmpClient.open(await first, { timeout, lastWords: () => "bye" });
  server.close();
  return { client, socket };
}

const fails = (part: RegExp) => (error: unknown) => error instanceof QemuError && part.test(error.message);

test("answers find their commands in any order, events go to listeners, refusals carry QEMU's words", async () => {
  const held: number[] = [];
  const { client } = await peer((message, socket) => {
    if (message.execute === "first") held.push(message.id);
    else if (message.execute === "second") {
      socket.write('{"event": "TICK", "data": {"n": 1}}\r\n{"event": "TI');
      setTimeout(
        () =>
          socket.write(
            `CK", "data": {"n": 2}}\r\n{"return": "b", "id": ${message.id}}\r\n{"return": "a", "id": ${held[0]}}\r\n`,
          ),
        10,
      );
    } else socket.write(`{"id": ${message.id}, "error": {"class": "GenericError", "desc": "no such disk"}}\r\n`);
  });
  const tick = client.waitForEvent("TICK", (event) => event.data["n"] === 2);
  assert.deepEqual(await Promise.all([client.execute("first"), client.execute("second")]), ["a", "b"]);
  assert.equal((await tick).data["n"], 2);
  await assert.rejects(client.execute("device_del"), fails(/^QEMU refused device_del: no such disk$/));
  client.close();
  await assert.rejects(client.execute("first"), fails(/closed/));
});

test("a peer that goes away or stays silent fails what waits, within the time limit", async () => {
  const { client, socket } = await peer(() => {}, 100);
  await assert.rejects(client.execute("quiet"), fails(/did not answer quiet within 100 ms/));
  await assert.rejects(client.waitForEvent("NEVER"), fails(/did not tell of NEVER within 100 ms/));
  const waiting = client.execute("quiet");
  socket.destroy();
  await assert.rejects(waiting, fails(/(QEMU ended|connection broke .*); its last words: bye$/));
  await assert.rejects(client.execute("quiet"), fails(/its last words: bye$/));
});

test("nonsense from the monitor is one error and no crash", async () => {
  const { client } = await peer((_, socket) => socket.write("{nonsense\r\n"));
  await assert.rejects(client.execute("anything"), fails(/not JSON/));
  const other = await peer((_, socket) => socket.write("[]\r\nnull\r\n7\r\n"), 200);
  await assert.rejects(other.client.execute("anything"), QemuError);
  other.client.close();
});
