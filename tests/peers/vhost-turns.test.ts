/** Several queues on one event loop: none of them has it for long. */
import assert from "node:assert/strict";
import { signalEvent } from "../../src/linux/index.js";
import type { Scatter } from "../../src/memory/index.js";
import { type Answer, MemoryStore } from "../../src/storage/index.js";
import { test } from "./limited-test.js";
import { serveBlk } from "./vhost-in-process.js";
import { connectQueues } from "./vhost-queues.js";

const options = process.platform === "linux" ? {} : { skip: "vhost-user needs Linux" };
const floodSector = 8;
const otherSector = 16;
/** Requests of a queue that may go before another's. */
const longestTurn = 64;

/** Calls `onRead` at each read. */
class WatchedStore extends MemoryStore {
  onRead: (sector: number) => void = () => {};

  override read(position: number, target: Scatter, length: number): Answer {
    this.onRead(position / 512);
    return super.read(position, target, length);
  }
}

test("a queue that never runs empty lets another have its turn after 64 requests", options, async () => {
  const store = new WatchedStore(1 << 20);
  const server = serveBlk(store);
  const data = new Uint8Array(512);
  try {
    const { fe, rings } = await connectQueues(server);
    const [flooded, other] = rings;
    for (const kickedAt of [100, 1000, 2040]) {
      let floods = 0;
      let servedAt = 0;
      store.onRead = (sector) => {
        if (sector === otherSector) servedAt = floods;
        else if (++floods === kickedAt) {
          other.submit(0, otherSector, data);
          signalEvent(other.kick);
        }
        // While a request is carried out there is the next one already, until the other queue was served.
        while (flooded.driver.reap() !== undefined);
        if (sector === floodSector && servedAt === 0 && floods < 10_000) flooded.submit(0, floodSector, data);
      };
      flooded.submit(0, floodSector, data);
      signalEvent(flooded.kick);
      assert.equal(await other.finish(data), 0);
      assert.ok(servedAt - kickedAt <= longestTurn, `kicked after ${kickedAt} requests, served after ${servedAt}`);
      while (flooded.driver.inFlight > 0) {
        flooded.driver.reap();
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    fe.close();
  } finally {
    await server.close();
  }
});
