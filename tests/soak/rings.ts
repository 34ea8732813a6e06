/** Hostile rings against the device half of virtio-scsi: every queue, both byte orders, all ring features. */
import type { Endianness } from "../../src/bytes/index.js";
import { ProtocolError, type ViolationCode } from "../../src/errors/index.js";
import type { GuestMemory } from "../../src/memory/index.js";
import type { FaultHook } from "../../src/observe/index.js";
import { Disk, ScsiBus } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import {
  GuardedMemory,
  type HostileContent,
  HostileDriver,
  hostileControlRequest,
  hostileEventBuffer,
  hostileRequest,
  RestlessRegion,
  type SeededRandom,
} from "../../src/testing/index.js";
import { type DeviceHost, hasFeature } from "../../src/transport/index.js";
import { ScsiQueue, VirtioScsiDevice } from "../../src/virtio/index.js";
import {
  compactLayout,
  layoutAt,
  legacyLayout,
  type QueueDevice,
  type RingAddresses,
  SplitDevice,
} from "../../src/virtqueue/index.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

const low = { base: 0x1_0000, size: 0x4_0000 };
/** Touches `low`: buffers may cross from one into the other. */
const neighbour = { base: 0x5_0000, size: 0x1_0000 };
/** Above 2^32. */
const vast = { base: 0x2_0000_0000, size: 2 ** 30 };
const ringRoom = { address: 0x1_0000, size: 0x2_0000 };
const arena = { address: 0x3_0000, size: 0x3_0000 };
const outside = [0, 0xfff0, 0x6_0000, 0xffff_fff0, 0x1_ffff_ffff, 0x2_4000_0000, 2 ** 52];
const blocks = 512;

/** Violations that only rings and requests of a driver can cause. */
export const ringViolations: readonly ViolationCode[] = [
  "address-outside-memory",
  "ring-outside-memory",
  "ring-misaligned",
  "ring-size-invalid",
  "avail-index-jump",
  "head-out-of-range",
  "head-in-flight",
  "next-out-of-range",
  "chain-too-long",
  "chain-too-large",
  "descriptor-empty",
  "readable-after-writable",
  "indirect-not-negotiated",
  "indirect-nested",
  "indirect-with-next",
  "indirect-length",
  "indirect-outside-memory",
  "request-header-short",
  "response-space-short",
  "control-type-unknown",
  "event-buffer-readable",
];

/** A transport that is nothing but queues. */
class RingHost implements DeviceHost {
  endianness: Endianness = "little";
  features = 0n;
  readonly queues: (QueueDevice | undefined)[] = [];
  round: Round | undefined;

  has(feature: number): boolean {
    return hasFeature(this.features, feature);
  }
  queue(index: number): QueueDevice | undefined {
    return this.queues[index];
  }
  signal(): void {
    this.round?.count("interrupts");
  }
  configChanged(): void {}
  fail(error: ProtocolError): void {
    this.count(error.code);
  }
  count(code: ViolationCode): void {
    this.round?.count(code);
  }
}

class TargetCounter implements FaultHook {
  reached = 0;
  random: SeededRandom | undefined;

  command() {
    this.reached++;
    if (this.random?.chance(0.03) !== true) return undefined;
    return this.random.chance(0.7)
      ? ({ kind: "never" } as const)
      : ({ kind: "response", response: 1 + this.random.below(9) } as const);
  }
}

/** Where a ring lies: mostly where it should, sometimes nowhere good. */
function placeRing(random: SeededRandom, size: number): RingAddresses {
  const layout = random.chance(0.5) ? compactLayout(size) : legacyLayout(size);
  const room = Math.max(0, ringRoom.size - layout.byteLength);
  const base = ringRoom.address + 4096 * random.below(Math.floor(room / 4096) + 1);
  const addresses: { -readonly [K in keyof RingAddresses]: number } = { ...layoutAt(layout, base) };
  const parts = ["descriptors", "available", "used"] as const;
  if (random.chance(0.02)) addresses[parts[random.below(3)]] = outside[random.below(outside.length)];
  if (random.chance(0.02)) addresses[parts[random.below(3)]] += 1 + random.below(15);
  return addresses;
}

function ringSize(random: SeededRandom): number {
  if (random.chance(0.02)) return [0, 3, 24, 65536, -1, 1.5][random.below(6)];
  return random.chance(0.05) ? 4096 : 2 ** random.below(9);
}

class RingFuzz {
  readonly #guarded: GuardedMemory;
  readonly #memory: GuestMemory;
  readonly #host = new RingHost();
  readonly #target = new TargetCounter();
  readonly #bus = new ScsiBus();
  readonly #device: VirtioScsiDevice;
  readonly #restless: RestlessRegion[] = [];

  constructor(restless: boolean) {
    this.#guarded = restless
      ? new GuardedMemory([low, neighbour], (base, bytes) => {
          const region = new RestlessRegion(base, bytes);
          this.#restless.push(region);
          return region;
        })
      : new GuardedMemory([low, neighbour, vast]);
    this.#memory = this.#guarded.memory;
    const disk = new Disk(new MemoryStore(blocks * 512), { powerOnAttention: false });
    this.#bus.attach(0, 0, disk);
    this.#device = new VirtioScsiDevice(this.#bus, {
      faults: this.#target,
      inout: true,
      asyncEvents: 0x7e,
      eventLimit: { burst: 1e9, perSecond: 1e9 },
    });
    this.#device.attach(this.#host);
  }

  run(round: Round): void {
    const { random } = round;
    const host = this.#host;
    for (const region of this.#restless) region.onRead = undefined;
    this.#device.reset();
    host.queues.length = 0;
    host.round = round;
    host.endianness = random.chance(0.5) ? "little" : "big";
    host.features = BigInt(random.below(8));
    this.#target.random = random;
    this.#target.reached = 0;
    const place = random.below(10);
    const index = place < 7 ? ScsiQueue.FirstRequest : place < 9 ? ScsiQueue.Event : ScsiQueue.Control;
    // A request that stays gives task management something to find.
    if (index !== ScsiQueue.FirstRequest && random.chance(0.5)) this.#drive(round, ScsiQueue.FirstRequest);
    this.#drive(round, index);
    round.count(this.#target.reached > 0 ? "rings that reached the target" : "rings that did not");
    if (round.number % 256 === 0) this.#guarded.check();
  }

  /** Sets a queue up, fills it up to three times and has the device serve it. */
  #drive(round: Round, index: number): void {
    const { random } = round;
    const { endianness } = this.#host;
    const size = ringSize(random);
    const addresses = placeRing(random, Math.max(1, size));
    const indirect = random.chance(0.7);
    const startIndex = random.chance(0.5) ? 65_500 + random.below(36) : 0;
    const options = { index, size, addresses, endianness, indirect, eventIndex: random.chance(0.5) };
    let queue: SplitDevice;
    try {
      queue = new SplitDevice(this.#memory, { ...options, startIndex, notifyOnEmpty: random.chance(0.2) });
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      round.count(error.code);
      return;
    }
    const vastRange =
      this.#memory.find(vast.base) === undefined ? {} : { vast: { address: vast.base, size: vast.size } };
    const driver = new HostileDriver(this.#memory, { ...options, random, startIndex, arena, outside, ...vastRange });
    driver.prepareRings();
    this.#host.queues[index] = queue;
    for (let times = 1 + random.below(3); times > 0; times--) {
      const contents = Array.from({ length: 1 + random.below(4) }, () => this.#content(random, index));
      for (const trick of driver.publish(contents)) round.count(`trick ${trick}`);
      for (const region of this.#restless) this.#disturb(region, random);
      this.#device.notified(index);
      for (const region of this.#restless) region.onRead = undefined;
      if (index === ScsiQueue.Event) this.#bus.reset("bus-reset");
    }
    if (queue.broken === undefined) round.count("rings that were sound to the end");
  }

  #content(random: SeededRandom, index: number): HostileContent {
    const { endianness } = this.#host;
    if (index === ScsiQueue.Control) return hostileControlRequest(random, endianness);
    if (index === ScsiQueue.Event) return hostileEventBuffer(random);
    return hostileRequest(random, { endianness, blocks });
  }

  /** Changes bytes right after they were read, now and then. */
  #disturb(region: RestlessRegion, random: SeededRandom): void {
    let left = 200;
    region.onRead = (offset, width) => {
      if (left === 0 || !random.chance(0.2)) return;
      left--;
      region.bytes[offset + random.below(width)] = random.below(256);
    };
  }
}

function ringGoals(least: number, names: readonly string[]) {
  return (counts: ReadonlyMap<string, number>, rounds: number): void => {
    const reached = counts.get("rings that reached the target") ?? 0;
    if (rounds >= 1000 && reached < 0.3 * rounds) {
      throw new Error(`only ${reached} of ${rounds} rings reached the target`);
    }
    if (rounds >= 100_000) requireCounts(counts, names, least);
    else if (rounds >= 2000) requireCounts(counts, names, 1);
  };
}

export const rings: Soak = {
  name: "rings",
  title: "hostile rings against the device half",
  quickRounds: 10_000,
  start() {
    const fuzz = new RingFuzz(false);
    return (round) => fuzz.run(round);
  },
  goals: ringGoals(100, ringViolations),
};

export const restlessRings: Soak = {
  name: "restless-rings",
  title: "hostile rings whose fields change while the device reads them",
  quickRounds: 3000,
  start() {
    const fuzz = new RingFuzz(true);
    return (round) => fuzz.run(round);
  },
  goals: ringGoals(
    100,
    ringViolations.filter((code) => code !== "chain-too-large"),
  ),
};
