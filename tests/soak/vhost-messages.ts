/** Random and nearly right messages of a vhost-user front end, and rings full of nonsense, against our back end. */
import assert from "node:assert/strict";
import type { ViolationCode } from "../../src/errors/index.js";
import {
  closeDescriptor,
  closeDescriptors,
  createMemoryFile,
  createSocketPair,
  receiveWithDescriptors,
  signalEvent,
} from "../../src/linux/index.js";
import type { SeededRandom } from "../../src/testing/index.js";
import {
  configHeader,
  featureSet,
  inflightDescription,
  lastFrontEndRequest,
  memoryRegion,
  memoryTableHeader,
  ProtocolFeature,
  singleRegion,
  vringAddress,
  wire,
} from "../../src/transport/index.js";
import {
  heldResources,
  type InProcessBackEnd,
  serveBlk,
  serveBlkInThreads,
  untilGone,
} from "../peers/vhost-in-process.js";
import { numberOf, q, RawFrontEnd, RawRing, stateOf, userBase } from "../peers/vhost-raw-front-end.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

const messagesPerRound = 200;
const roundsPerCheck = 16;
const memorySize = 1 << 20;
const requests = Object.values(q);
const protocolFeatures = featureSet(...Object.values(ProtocolFeature));

/** Violations that only messages can cause. */
const messageViolations: readonly ViolationCode[] = [
  "config-space-range",
  "feature-not-offered",
  "inflight-buffer-invalid",
  "memory-region-invalid",
  "message-descriptors",
  "message-malformed",
  "message-refused",
  "message-size",
  "message-unknown",
  "ring-outside-memory",
  "ring-size-invalid",
  "vring-running",
  "vring-unknown",
];

/** Every fourth server has its queues in threads. */
function inThreads(round: Round): boolean {
  return Math.floor(round.number / roundsPerCheck) % 4 === 3;
}

class MessageFuzz {
  /** One for all rounds up to the next check: a server that nobody closes keeps the process alive. */
  #server: InProcessBackEnd | undefined;
  readonly #other = createMemoryFile("raw-front-end-other", 8192);
  readonly #held: (ReturnType<typeof heldResources> | undefined)[] = [];

  async run(round: Round): Promise<void> {
    const server = (this.#server ??= inThreads(round) ? await serveBlkInThreads() : serveBlk());
    const gone = server.gone.length;
    const fe = new RawFrontEnd(server.path, memorySize);
    const pair = createSocketPair();
    const events = [fe.event(), fe.event(), fe.event()];
    try {
      const rings = round.random.chance(0.8) ? this.#setUp(fe) : [];
      for (let message = 0; message < messagesPerRound; message++) {
        if (!this.#message(round.random, fe, [...events, ...pair, fe.memoryFile, this.#other])) break;
        round.count("messages");
        if (round.random.chance(0.3)) this.#ring(round, fe, rings, events);
        if (message % 20 === 19) {
          drain(fe);
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
      }
      // Half a message is the last that is heard of some.
      if (round.random.chance(0.3)) fe.bytes(new Uint8Array(round.random.below(12)).fill(1));
      for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    } finally {
      fe.close();
      closeDescriptors(pair);
    }
    await untilGone(server, gone + 1);
    if (round.number % roundsPerCheck !== roundsPerCheck - 1) return;
    await this.#check(round, server);
    this.#server = undefined;
    await server.close();
  }

  /** A good front end is served, and nothing of the bad ones is left. */
  async #check(round: Round, server: InProcessBackEnd): Promise<void> {
    const good = new RawFrontEnd(server.path, memorySize);
    const gone = server.gone.length;
    for (const ring of this.#setUp(good)) await ring.verify(1 + ring.index);
    good.close();
    await untilGone(server, gone + 1);
    await new Promise((resolve) => setTimeout(resolve, 2));
    const kind = inThreads(round) ? 1 : 0;
    this.#held[kind] ??= heldResources();
    assert.deepEqual(heldResources(), this.#held[kind]);
    round.count("good front ends");
    for (const [code, times] of server.backEnd.violations) round.count(code, times);
    for (const [code, times] of server.runner.violations) round.count(code, times);
  }

  #setUp(fe: RawFrontEnd): RawRing[] {
    const features = (1n << 30n) | (1n << 32n) | (1n << 28n);
    fe.send(q.SetProtocolFeatures, { payload: numberOf(featureSet(ProtocolFeature.REPLY_ACK, ProtocolFeature.MQ)) });
    fe.send(q.SetFeatures, { payload: numberOf(features) });
    fe.send(q.SetMemoryTable, fe.table());
    return [0, 1].map((index) => {
      const ring = new RawRing(fe, index, { size: 64, indirect: true });
      fe.send(q.SetVringSize, { payload: stateOf(index, ring.size) });
      fe.send(q.SetVringAddress, { payload: ring.address() });
      fe.send(q.SetVringCall, { payload: numberOf(index), descriptors: [ring.call] });
      fe.send(q.SetVringKick, { payload: numberOf(index), descriptors: [ring.kick] });
      fe.send(q.SetVringEnable, { payload: stateOf(index, 1) });
      return ring;
    });
  }

  /** Sends one message; false when the connection is closed. */
  #message(random: SeededRandom, fe: RawFrontEnd, descriptors: readonly number[]): boolean {
    const request = random.chance(0.97)
      ? requests[random.below(requests.length)]
      : random.below(lastFrontEndRequest + 9);
    const payload = random.chance(0.96) ? fitting(random, request, fe) : garbage(random, random.below(300));
    // Mostly asks for an answer: a refusal then does not end the connection.
    const flags = random.chance(0.98) ? 8 : random.chance(0.9) ? 0 : random.below(16);
    const count = wanted(random, request, payload);
    const passed = Array.from({ length: count }, () => pick(random, request, descriptors, fe));
    const size = random.chance(0.995) ? payload.length : random.below(6000);
    return fe.send(request, { flags, payload, descriptors: passed, size });
  }

  /** Writes into the rings, and kicks. */
  #ring({ random, count }: Round, fe: RawFrontEnd, rings: readonly RawRing[], events: readonly number[]): void {
    const ring = rings[random.below(Math.max(1, rings.length))];
    signalEvent(ring?.kick ?? events[random.below(events.length)]);
    if (ring === undefined) return;
    const { descriptors, available } = ring.addresses;
    const index = random.below(4);
    for (let entry = 0; entry < index; entry++) {
      fe.memory.write(descriptors + 16 * random.below(ring.size), descriptor(random, fe));
      fe.memory.write(available + 4 + 2 * random.below(ring.size), Uint8Array.of(random.below(ring.size + 2), 0));
    }
    const step = random.chance(0.98) ? index : random.below(300);
    const at = fe.memory.read(available + 2, 2);
    const next = (at[0] + 256 * at[1] + step) & 0xffff;
    fe.memory.write(available + 2, Uint8Array.of(next & 0xff, next >> 8));
    signalEvent(ring.kick);
    count("ring writes");
  }
}

function descriptor(random: SeededRandom, fe: RawFrontEnd): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  const address = random.chance(0.9) ? fe.base + random.below(memorySize) : random.below(2 ** 32);
  view.setBigUint64(0, BigInt(address), true);
  view.setUint32(8, random.chance(0.5) ? 16 : random.below(random.chance(0.9) ? 8192 : 2 ** 32), true);
  view.setUint16(12, random.below(random.chance(0.8) ? 4 : 8), true);
  view.setUint16(14, random.below(66), true);
  return new Uint8Array(view.buffer);
}

function garbage(random: SeededRandom, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

/** A number that means something somewhere. */
function plausible(random: SeededRandom): bigint {
  switch (random.below(6)) {
    case 0:
      return BigInt(random.below(4));
    case 1:
      return 1n << BigInt(random.below(64));
    case 2:
      return BigInt(4096 * random.below(512));
    case 3:
      return (1n << 64n) - BigInt(1 + random.below(8192));
    case 4:
      return BigInt(userBase + 0x10_0000 + 4096 * random.below(256));
    default:
      return BigInt(random.below(2 ** 32));
  }
}

/** A payload of the right size, with contents that are often nearly right. */
function fitting(random: SeededRandom, request: number, fe: RawFrontEnd): Uint8Array {
  const region = () => {
    const good = fe.region(4096 * random.below(64), 4096 * (1 + random.below(64)));
    if (random.chance(0.5)) return good;
    const keys = ["guestAddress", "size", "userAddress", "offset"] as const;
    return { ...good, [keys[random.below(4)]]: plausible(random) };
  };
  switch (request) {
    case q.SetMemoryTable: {
      const count = 1 + random.below(random.chance(0.9) ? 2 : 8);
      const payload = new Uint8Array(memoryTableHeader.size + count * memoryRegion.size);
      const view = new DataView(payload.buffer);
      memoryTableHeader.write(view, 0, wire, { count: random.chance(0.97) ? count : random.below(300), padding: 0 });
      for (let at = memoryTableHeader.size; at < payload.length; at += memoryRegion.size) {
        memoryRegion.write(view, at, wire, random.chance(0.5) && count === 1 ? fe.region() : region());
      }
      return payload;
    }
    case q.AddMemoryRegion:
    case q.RemoveMemoryRegion: {
      const payload = new Uint8Array(singleRegion.size);
      singleRegion.write(new DataView(payload.buffer), 0, wire, { padding: 0n, ...region() });
      return payload;
    }
    case q.SetVringAddress: {
      const payload = new Uint8Array(vringAddress.size);
      const [descriptors, used, available] = [plausible(random), plausible(random), plausible(random)];
      const index = random.below(3);
      vringAddress.write(new DataView(payload.buffer), 0, wire, {
        index,
        flags: 0,
        descriptors,
        used,
        available,
        log: 0n,
      });
      return payload;
    }
    case q.SetVringSize:
      return stateOf(random.below(3), random.chance(0.8) ? 2 ** random.below(17) : random.below(2 ** 32));
    case q.SetVringBase:
    case q.GetVringBase:
    case q.SetVringEnable:
    case q.SetVringEndianness:
      return stateOf(
        random.chance(0.95) ? random.below(2) : random.below(2 ** 32),
        random.below(random.chance(0.9) ? 2 : 70_000),
      );
    case q.SetVringKick:
    case q.SetVringCall:
    case q.SetVringError:
      return numberOf(random.below(3) + (random.chance(0.1) ? 0x100 : 0));
    case q.SetFeatures:
      return numberOf(
        random.chance(0.7) ? (1n << 30n) | (1n << 32n) | (BigInt(random.below(4)) << 28n) : plausible(random),
      );
    case q.SetProtocolFeatures:
      return numberOf(random.chance(0.97) ? 0x9n | (BigInt(random.below(2 ** 16)) & 0xb269n) : protocolFeatures);
    case q.GetConfig:
    case q.SetConfig: {
      const size = random.below(80);
      const payload = new Uint8Array(configHeader.size + size);
      const said = random.chance(0.9) ? size : random.below(2 ** 32);
      const offset = random.chance(0.9) ? random.below(64) : random.below(2 ** 32);
      configHeader.write(new DataView(payload.buffer), 0, wire, { offset, size: said, flags: random.below(3) });
      return payload;
    }
    case q.GetInflight:
    case q.SetInflight: {
      const payload = new Uint8Array(inflightDescription.size);
      inflightDescription.write(new DataView(payload.buffer), 0, wire, {
        size: random.chance(0.8) ? 8192n : plausible(random),
        offset: random.chance(0.8) ? 0n : plausible(random),
        queues: random.below(4),
        queueSize: random.chance(0.9) ? 2 ** random.below(8) : random.below(65536),
      });
      return payload;
    }
    case q.SetLogBase:
      return garbage(random, 16);
    case q.SetStatus:
      return numberOf(random.below(256));
    default:
      return new Uint8Array(0);
  }
}

const withDescriptor: readonly number[] = [
  q.SetVringKick,
  q.SetVringCall,
  q.SetVringError,
  q.AddMemoryRegion,
  q.SetInflight,
  q.SetBackEndSocket,
];

/** How many descriptors to send: mostly as many as there should be. */
function wanted(random: SeededRandom, request: number, payload: Uint8Array): number {
  if (random.chance(0.03)) return random.below(12);
  if (request === q.SetMemoryTable)
    return Math.max(0, Math.floor((payload.length - memoryTableHeader.size) / memoryRegion.size));
  if (!withDescriptor.includes(request)) return 0;
  const isVring = request === q.SetVringKick || request === q.SetVringCall || request === q.SetVringError;
  return isVring && payload[1] === 1 ? 0 : 1;
}

/** A descriptor: mostly one of the right kind. */
function pick(random: SeededRandom, request: number, descriptors: readonly number[], fe: RawFrontEnd): number {
  if (random.chance(0.15)) return descriptors[random.below(descriptors.length)];
  if (request === q.SetMemoryTable || request === q.AddMemoryRegion || request === q.SetInflight) return fe.memoryFile;
  return request === q.SetBackEndSocket ? descriptors[3] : descriptors[random.below(3)];
}

/** Reads what answers there are, and closes what comes with them. */
function drain(fe: RawFrontEnd): void {
  const bytes = new Uint8Array(8192);
  const descriptors: number[] = [];
  try {
    while (receiveWithDescriptors(fe.socket.descriptor, bytes, 0, bytes.length, descriptors) > 0)
      closeDescriptors(descriptors);
  } catch {
    // Closed by the other side.
  }
  for (const descriptor of descriptors) closeDescriptor(descriptor);
}

export const vhostMessages: Soak = {
  name: "vhost-messages",
  runsAlone: true,
  title: "random and nearly right vhost-user messages and rings, to a block device",
  quickRounds: 13 * roundsPerCheck,
  start() {
    const fuzz = new MessageFuzz();
    return (round) => fuzz.run(round);
  },
  goals(counts, rounds) {
    if (rounds < 1000) return;
    requireCounts(counts, ["messages", "ring writes"], 10_000);
    requireCounts(counts, messageViolations, 10);
  },
};
