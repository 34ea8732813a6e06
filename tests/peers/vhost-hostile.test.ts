/** Front ends that break rules: each is refused by name, nothing of it is kept, and the next one is served. */
import assert from "node:assert/strict";
import { ftruncateSync } from "node:fs";
import {
  clearEvent,
  closeDescriptor,
  createEventDescriptor,
  createMemoryFile,
  createSocketPair,
  signalEvent,
} from "../../src/linux/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import { SlowStore } from "../../src/testing/index.js";
import {
  featureSet,
  inflightDescription,
  memoryRegion,
  memoryTableHeader,
  messageHeader,
  ProtocolFeature,
  type RegionDescription,
  vringAddress,
  wire,
} from "../../src/transport/index.js";
import { after, before, describe, test } from "./limited-test.js";
import { heldResources, type InProcessBackEnd, serveBlk, untilGone } from "./vhost-in-process.js";
import { numberOf, q, RawFrontEnd, type RawMessage, RawRing, stateOf, userBase } from "./vhost-raw-front-end.js";

const acknowledgements = featureSet(ProtocolFeature.REPLY_ACK, ProtocolFeature.MQ);
const version1 = 1n << 32n;
const bit30 = 1n << 30n;

let server: InProcessBackEnd;
let held: ReturnType<typeof heldResources>;
before(() => {
  if (process.platform !== "linux") return;
  server = serveBlk();
});
after(() => server?.close());

/** Sets a ring up, so that it runs. */
async function start(fe: RawFrontEnd, index = 0): Promise<RawRing> {
  const ring = new RawRing(fe, index);
  assert.equal(await fe.acknowledged(q.SetFeatures, { payload: numberOf(bit30 | version1) }), 0n);
  assert.equal(await fe.acknowledged(q.SetMemoryTable, fe.table()), 0n);
  assert.equal(await fe.acknowledged(q.SetVringSize, { payload: stateOf(index, ring.size) }), 0n);
  assert.equal(await fe.acknowledged(q.SetVringAddress, { payload: ring.address() }), 0n);
  assert.equal(await fe.acknowledged(q.SetVringCall, { payload: numberOf(index), descriptors: [ring.call] }), 0n);
  assert.equal(await fe.acknowledged(q.SetVringKick, { payload: numberOf(index), descriptors: [ring.kick] }), 0n);
  assert.equal(await fe.acknowledged(q.SetVringEnable, { payload: stateOf(index, 1) }), 0n);
  return ring;
}

async function settled(count: number): Promise<void> {
  await untilGone(server, count);
  // Node closes sockets when the loop comes round.
  await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Nothing is left of the last front end, and a good one is served. */
async function afterwards(): Promise<void> {
  const gone = server.gone.length;
  const good = new RawFrontEnd(server.path);
  good.send(q.SetProtocolFeatures, { payload: numberOf(acknowledgements) });
  const ring = await start(good);
  await ring.verify(1 + (gone % 50));
  good.close();
  await settled(gone + 1);
  assert.deepEqual(heldResources(), (held ??= heldResources()));
}

/** Runs `attack` on a connection of its own. @param code what the connection ends with, if it is the server that ends it. */
async function attacked(attack: (fe: RawFrontEnd) => Promise<void>, code?: string): Promise<void> {
  if (held === undefined) await afterwards();
  const gone = server.gone.length;
  const fe = new RawFrontEnd(server.path);
  fe.send(q.SetProtocolFeatures, { payload: numberOf(acknowledgements) });
  try {
    await attack(fe);
  } finally {
    fe.close();
  }
  await settled(gone + 1);
  assert.equal(server.gone[gone], code);
  await afterwards();
}

function tableOf(regions: readonly Partial<RegionDescription>[], file: number, files = regions.length): RawMessage {
  const payload = new Uint8Array(memoryTableHeader.size + regions.length * memoryRegion.size);
  const view = new DataView(payload.buffer);
  memoryTableHeader.write(view, 0, wire, { count: regions.length, padding: 0 });
  regions.forEach((region, index) => {
    const whole = { guestAddress: 0n, size: 4096n, userAddress: 0n, offset: 0n, ...region };
    memoryRegion.write(view, memoryTableHeader.size + index * memoryRegion.size, wire, whole);
  });
  return { payload, descriptors: new Array<number>(files).fill(file) };
}

const far = 2n ** 63n;

describe("hostile front ends", { skip: process.platform !== "linux" && "needs Linux" }, () => {
  describe("memory tables", () => {
    const tables: readonly { name: string; regions: readonly Partial<RegionDescription>[]; files?: number }[] = [
      { name: "a region larger than its file", regions: [{ size: 1n << 30n }] },
      { name: "a region past the end of its file", regions: [{ offset: 1n << 30n }] },
      { name: "an empty region", regions: [{ size: 0n }] },
      { name: "numbers that overflow", regions: [{ guestAddress: far }, { userAddress: far }, { size: far }] },
      { name: "an offset near 2^64", regions: [{ offset: 2n ** 64n - 4096n }] },
      { name: "an odd guest address", regions: [{ guestAddress: 1n }] },
      { name: "guest addresses that overlap", regions: [{}, { userAddress: 8192n, guestAddress: 4092n }] },
      { name: "user addresses that overlap", regions: [{}, { userAddress: 4092n, guestAddress: 8192n }] },
      { name: "fewer files than regions", regions: [{}, { userAddress: 8192n, guestAddress: 8192n }], files: 1 },
      { name: "more files than regions", regions: [{}], files: 8 },
      { name: "far more files than allowed", regions: [{}], files: 31 },
    ];
    for (const { name, regions, files } of tables) {
      test(`${name}: refused, and the table from before stands`, async () => {
        await attacked(async (fe) => {
          const ring = await start(fe);
          assert.equal(await fe.acknowledged(q.SetMemoryTable, tableOf(regions, fe.memoryFile, files)), 1n);
          await ring.verify(3);
        });
      });
    }

    test("what is no file is refused", async () => {
      await attacked(async (fe) => {
        const event = fe.event();
        assert.equal(await fe.acknowledged(q.SetMemoryTable, tableOf([{}], event)), 1n);
        assert.equal(await fe.acknowledged(q.SetMemoryTable, tableOf([{}], fe.socket.descriptor)), 1n);
      });
    });

    test("a count that the payload does not have ends a connection that asked for no answer", async () => {
      await attacked(async (fe) => {
        const message = tableOf([{}], fe.memoryFile);
        (message.payload as Uint8Array)[0] = 200;
        fe.send(q.SetMemoryTable, message);
        assert.ok(await fe.isClosed());
      }, "message-size");
    });

    test("a file that is made smaller later does not end the server: it cannot be", async () => {
      await attacked(async (fe) => {
        const ring = await start(fe);
        assert.throws(() => ftruncateSync(fe.memoryFile, 0), { code: "EPERM" });
        await ring.verify(2);
      });
    });

    test("a ring whose memory is taken away breaks, and the device goes on", async () => {
      await attacked(async (fe) => {
        const ring = await start(fe);
        await ring.verify(1);
        const error = fe.event();
        await fe.acknowledged(q.SetVringError, { payload: numberOf(0), descriptors: [error] });
        assert.equal(await fe.acknowledged(q.SetMemoryTable, tableOf([{}], fe.memoryFile)), 0n);
        ring.submit(0, 0, new Uint8Array(512));
        signalEvent(ring.kick);
        assert.equal(await fe.acknowledged(q.SetOwner), 0n);
        assert.equal(ring.driver.reap(), undefined);
      });
    });

    test("tables changed hundreds of times under load leave nothing mapped", async () => {
      await attacked(async (fe) => {
        const ring = await start(fe);
        for (let times = 1; times <= 300; times++) {
          const size = fe.size - 4096 * (times % 7);
          assert.equal(await fe.acknowledged(q.SetMemoryTable, fe.table(0, size)), 0n);
          if (times % 50 === 0) await ring.verify(times / 50);
        }
        assert.ok(heldResources().mappings < 10);
      });
    });
  });

  describe("rings", () => {
    test("addresses outside every region, and misaligned ones, are refused", async () => {
      await attacked(async (fe) => {
        await fe.acknowledged(q.SetFeatures, { payload: numberOf(bit30 | version1) });
        await fe.acknowledged(q.SetMemoryTable, fe.table());
        await fe.acknowledged(q.SetVringSize, { payload: stateOf(0, 128) });
        await fe.acknowledged(q.SetVringEnable, { payload: stateOf(0, 1) });
        const at = BigInt(userBase + fe.base);
        const end = at + BigInt(fe.size);
        for (const [descriptors, available, used, answer] of [
          [0n, at, at, 1n],
          [at, end, at, 1n],
          [at, at, far, 1n],
          [at, at, 2n ** 64n - 1n, 1n],
          // In memory, but the ring does not fit: found when it starts.
          [at + 4096n, end - 4n, at, 0n],
          [at + 8n, at + 8192n, at + 16384n, 0n],
        ] as const) {
          const payload = new Uint8Array(vringAddress.size);
          const address = { index: 0, flags: 0, log: 0n, descriptors, available, used };
          vringAddress.write(new DataView(payload.buffer), 0, wire, address);
          assert.equal(await fe.acknowledged(q.SetVringAddress, { payload }), answer);
          if (answer === 1n) continue;
          const kick = fe.event();
          assert.equal(await fe.acknowledged(q.SetVringKick, { payload: numberOf(0), descriptors: [kick] }), 1n);
          await fe.ask(q.GetVringBase, { payload: stateOf(0, 0) });
        }
      });
    });

    test("sizes and queues that do not exist are refused", async () => {
      await attacked(async (fe) => {
        for (const size of [0, 3, 65536, 0xffff_ffff]) {
          assert.equal(await fe.acknowledged(q.SetVringSize, { payload: stateOf(0, size) }), 1n);
        }
        for (const request of [q.SetVringSize, q.SetVringBase, q.SetVringEnable]) {
          assert.equal(await fe.acknowledged(request, { payload: stateOf(2, 1) }), 1n);
          assert.equal(await fe.acknowledged(request, { payload: stateOf(0xffff_ffff, 1) }), 1n);
        }
        assert.equal(await fe.acknowledged(q.SetVringKick, { payload: numberOf(77), descriptors: [fe.event()] }), 1n);
      });
    });

    test("kicks before set-up, and everything in the wrong order", async () => {
      await attacked(async (fe) => {
        const kick = fe.event();
        signalEvent(kick);
        assert.equal(await fe.acknowledged(q.SetVringKick, { payload: numberOf(0), descriptors: [kick] }), 0n);
        assert.equal(await fe.acknowledged(q.SetVringEnable, { payload: stateOf(0, 1) }), 0n);
        signalEvent(kick);
        assert.equal(await fe.acknowledged(q.SetVringSize, { payload: stateOf(0, 128) }), 0n);
        assert.equal(await fe.acknowledged(q.ResetDevice), 0n);
        await (await start(fe)).verify(4);
      });
    });

    test("a running ring cannot be given another size or position", async () => {
      await attacked(async (fe) => {
        const ring = await start(fe);
        assert.equal(await fe.acknowledged(q.SetVringSize, { payload: stateOf(0, 64) }), 1n);
        assert.equal(await fe.acknowledged(q.SetVringBase, { payload: stateOf(0, 9) }), 1n);
        await ring.verify(4);
      });
    });

    test("descriptors that are no event descriptors, missing or surplus are refused", async () => {
      await attacked(async (fe) => {
        const event = fe.event();
        for (const request of [q.SetVringKick, q.SetVringCall, q.SetVringError]) {
          const wrong: RawMessage[] = [
            { payload: numberOf(0), descriptors: [fe.memoryFile] },
            { payload: numberOf(0), descriptors: [fe.socket.descriptor] },
            { payload: numberOf(0) },
            { payload: numberOf(0x100), descriptors: [event] },
            { payload: numberOf(0), descriptors: [event, event] },
          ];
          for (const message of wrong) assert.equal(await fe.acknowledged(request, message), 1n);
        }
        assert.equal(await fe.acknowledged(q.SetOwner, { descriptors: [event, event, event] }), 1n);
      });
    });

    test("a call that nobody takes does not hold the server up", async () => {
      await attacked(async (fe) => {
        const ring = await start(fe);
        const { writeSync } = await import("node:fs");
        // Starting the ring has signalled once.
        clearEvent(ring.call);
        const full = new BigUint64Array([0xffff_ffff_ffff_fffen]);
        writeSync(ring.call, new Uint8Array(full.buffer));
        const data = new Uint8Array(512);
        ring.submit(0, 0, data);
        signalEvent(ring.kick);
        assert.equal(await ring.finish(data, false), 0);
      });
    });

    test("a broken ring is told on the error descriptor, and can be set up again", async () => {
      await attacked(async (fe) => {
        const ring = await start(fe);
        const error = fe.event();
        await fe.acknowledged(q.SetVringError, { payload: numberOf(0), descriptors: [error] });
        // The available index jumps.
        fe.memory.write(ring.addresses.available + 2, Uint8Array.of(0xff, 0x7f));
        signalEvent(ring.kick);
        const deadline = Date.now() + 2000;
        while (!clearEvent(error)) {
          assert.ok(Date.now() < deadline, "nothing was told");
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        await fe.ask(q.GetVringBase, { payload: stateOf(0, 0) });
        const again = new RawRing(fe, 0);
        assert.equal(await fe.acknowledged(q.SetVringBase, { payload: stateOf(0, 0) }), 0n);
        assert.equal(await fe.acknowledged(q.SetVringAddress, { payload: again.address() }), 0n);
        await fe.acknowledged(q.SetVringCall, { payload: numberOf(0), descriptors: [again.call] });
        await fe.acknowledged(q.SetVringKick, { payload: numberOf(0), descriptors: [again.kick] });
        await again.verify(9);
      });
    });
  });

  describe("messages", () => {
    test("features that were not offered are refused", async () => {
      await attacked(async (fe) => {
        assert.equal(await fe.acknowledged(q.SetFeatures, { payload: numberOf(1n << 63n) }), 1n);
        fe.send(q.SetProtocolFeatures, { payload: numberOf(1n << 8n) });
        assert.ok(await fe.isClosed());
      }, "feature-not-offered");
    });

    test("every request with every wrong size is refused or ends the connection", async () => {
      for (const request of Object.values(q)) {
        for (const size of [1, 7, 13, 4000]) {
          const fe = new RawFrontEnd(server.path);
          const gone = server.gone.length;
          fe.send(request, { payload: new Uint8Array(size) });
          const answer = await fe.reply();
          fe.close();
          await settled(gone + 1);
          // An error of GET_CONFIG is an answer of its own.
          const isConfig = request === q.GetConfig && answer !== undefined && answer.payload.byteLength <= 12;
          assert.ok(isConfig || answer === undefined, `request ${request} with ${size} bytes`);
        }
      }
      await afterwards();
    });

    test("a wrong version, a reply, and an endless payload end the connection", async () => {
      await attacked(async (fe) => {
        fe.send(q.GetFeatures, { flags: 2 });
        assert.ok(await fe.isClosed());
      }, "message-malformed");
      await attacked(async (fe) => {
        fe.send(q.GetFeatures, { flags: 4 });
        assert.ok(await fe.isClosed());
      }, "message-malformed");
      await attacked(async (fe) => {
        fe.send(q.SetConfig, { size: 0xffff_ffff });
        assert.ok(await fe.isClosed());
      }, "message-malformed");
    });

    test("half a header, half a payload with descriptors, and then nothing", async () => {
      const header = new Uint8Array(messageHeader.size);
      messageHeader.write(new DataView(header.buffer), 0, wire, { request: q.SetMemoryTable, flags: 9, size: 40 });
      for (const length of [1, 11, 12]) {
        await attacked(async (fe) => {
          fe.bytes(header.subarray(0, length), [fe.memoryFile, fe.memoryFile]);
          await new Promise((resolve) => setTimeout(resolve, 5));
        });
      }
      // Byte by byte a message is good.
      await attacked(async (fe) => {
        const { payload, descriptors } = fe.table();
        const whole = new Uint8Array(52);
        whole.set(header);
        whole.set(payload as Uint8Array, 12);
        for (let at = 0; at < whole.length; at++) {
          fe.bytes(whole.subarray(at, at + 1), at === 0 ? descriptors : []);
          if (at % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        }
        const answer = await fe.reply();
        assert.equal(answer?.payload.getBigUint64(0, true), 0n);
      });
    });

    test("a flood of questions whose answers are not read ends that connection only", async () => {
      await attacked(async (fe) => {
        const deadline = Date.now() + 5000;
        const gone = server.gone.length;
        while (server.gone.length === gone && Date.now() < deadline) {
          for (let times = 0; times < 100; times++) fe.send(q.GetFeatures);
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
      });
    });

    test("buffers for requests in flight that are too small, misplaced or no files are refused", async () => {
      await attacked(async (fe) => {
        const small = createMemoryFile("raw-front-end-inflight", 64);
        const [one, other] = createSocketPair();
        const event = createEventDescriptor();
        const cases: [number, { size?: bigint; offset?: bigint; queues?: number; queueSize?: number }][] = [
          [small, {}],
          [fe.memoryFile, { size: 100n }],
          [fe.memoryFile, { offset: 2n ** 63n }],
          [fe.memoryFile, { offset: 1n }],
          [fe.memoryFile, { offset: 1n << 40n }],
          [fe.memoryFile, { queues: 9 }],
          [fe.memoryFile, { queues: 0 }],
          [fe.memoryFile, { queueSize: 0 }],
          [fe.memoryFile, { queueSize: 32_769 }],
          [one, {}],
          [event, {}],
        ];
        for (const [descriptor, wrong] of cases) {
          const payload = new Uint8Array(inflightDescription.size);
          const good = { size: 8192n, offset: 0n, queues: 2, queueSize: 128, padding: 0 };
          inflightDescription.write(new DataView(payload.buffer), 0, wire, { ...good, ...wrong });
          assert.equal(await fe.acknowledged(q.SetInflight, { payload, descriptors: [descriptor] }), 1n);
        }
        for (const descriptor of [small, one, other, event]) closeDescriptor(descriptor);
      });
    });

    test("any contents of a record of requests in flight are survived", async () => {
      await attacked(async (fe) => {
        const file = createMemoryFile("raw-front-end-inflight", 8192);
        const { writeSync } = await import("node:fs");
        const garbage = new Uint8Array(8192).fill(1);
        new DataView(garbage.buffer).setUint16(10, 128, true);
        writeSync(file, garbage, 0, 8192, 0);
        const payload = new Uint8Array(inflightDescription.size);
        const given = { size: 8192n, offset: 0n, queues: 2, queueSize: 128, padding: 0 };
        inflightDescription.write(new DataView(payload.buffer), 0, wire, given);
        assert.equal(await fe.acknowledged(q.SetInflight, { payload, descriptors: [file] }), 0n);
        closeDescriptor(file);
        await start(fe);
        assert.equal(await fe.acknowledged(q.SetOwner), 0n);
      });
    });

    test("the end of the connection with requests in flight: nothing is written any more, the next is served after them", async () => {
      const slow = serveBlk(new SlowStore(new MemoryStore(1 << 20), { longestDelay: 50 }));
      try {
        for (let times = 0; times < 5; times++) {
          const fe = new RawFrontEnd(slow.path);
          fe.send(q.SetProtocolFeatures, { payload: numberOf(acknowledgements) });
          const ring = await start(fe);
          for (let request = 0; request < 30; request++) ring.submit(0, request, new Uint8Array(512));
          signalEvent(ring.kick);
          await new Promise((resolve) => setTimeout(resolve, times * 5));
          fe.socket.close();
          await new Promise((resolve) => setTimeout(resolve, 2));
          const used = fe.memory.read(ring.addresses.used + 2, 2);
          await untilGone(slow, times + 1);
          assert.deepEqual(fe.memory.read(ring.addresses.used + 2, 2), used);
          fe.close();
        }
      } finally {
        await slow.close();
      }
    });
  });
});
