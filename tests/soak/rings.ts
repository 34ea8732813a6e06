/** Hostile rings against device halves: every queue, both byte orders, all ring features. */
import type { Endianness } from "../../src/bytes/index.js";
import { ProtocolError, type ViolationCode } from "../../src/errors/index.js";
import type { GuestMemory } from "../../src/memory/index.js";
import {
  GuardedMemory,
  HostileDriver,
  type HostileDriverOptions,
  HostilePackedDriver,
  type HostileRingDriver,
  RestlessRegion,
  type SeededRandom,
} from "../../src/testing/index.js";
import { type DeviceHost, hasFeature } from "../../src/transport/index.js";
import {
  compactLayout,
  createQueueDevice,
  isRingSize,
  layoutAt,
  legacyLayout,
  packedLayout,
  type QueueDevice,
  type RingAddresses,
  type RingFormat,
  type RingLayout,
  ringPlace,
} from "../../src/virtqueue/index.js";
import { netSubject } from "./net-subject.js";
import { blkSubject, type RingSubject, scsiSubject } from "./ring-subjects.js";
import { balloonSubject, consoleSubject, entropySubject, rpmsgSubject } from "./small-device-subjects.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

const low = { base: 0x1_0000, size: 0x4_0000 };
/** Touches `low`: buffers may cross from one into the other. */
const neighbour = { base: 0x5_0000, size: 0x1_0000 };
/** Above 2^32. */
const vast = { base: 0x2_0000_0000, size: 2 ** 30 };
const ringRoom = { address: 0x1_0000, size: 0x2_0000 };
const arena = { address: 0x3_0000, size: 0x3_0000 };
const outside = [0, 0xfff0, 0x6_0000, 0xffff_fff0, 0x1_ffff_ffff, 0x2_4000_0000, 2 ** 52];

/** What hostile rings of a format are: one entry a format. */
interface HostileFormat {
  readonly format: RingFormat;
  /** Before the names of its soaks. */
  readonly prefix: string;
  /** Rounds in the quick tier. */
  readonly quickRounds: number;
  /** Violations that only rings of this format can cause. */
  readonly violations: readonly ViolationCode[];
  /** Byte orders that such rings have. */
  readonly orders: readonly Endianness[];
  layout(random: SeededRandom, size: number): RingLayout;
  /** A size that there can be, of a small ring. */
  size(random: SeededRandom): number;
  driver(memory: GuestMemory, options: HostileDriverOptions): HostileRingDriver;
}

const split: HostileFormat = {
  format: "split",
  prefix: "",
  quickRounds: 10_000,
  violations: ["ring-size-invalid", "avail-index-jump", "head-out-of-range", "next-out-of-range", "indirect-nested"],
  orders: ["little", "big"],
  layout: (random, size) => (random.chance(0.5) ? compactLayout(size) : legacyLayout(size)),
  size: (random) => 2 ** random.below(9),
  driver: (memory, options) => new HostileDriver(memory, options),
};

const packed: HostileFormat = {
  format: "packed",
  prefix: "packed-",
  quickRounds: 4000,
  violations: ["packed-ring-size-invalid", "ring-overrun", "chain-not-available"],
  orders: ["little"],
  layout: (_random, size) => packedLayout(size),
  size: (random) => 1 + random.below(2 ** random.below(9)),
  driver: (memory, options) => new HostilePackedDriver(memory, options),
};

/** Violations that rings of any format can cause. */
const ringViolations: readonly ViolationCode[] = [
  "address-outside-memory",
  "ring-outside-memory",
  "ring-misaligned",
  "head-in-flight",
  "chain-too-long",
  "chain-too-large",
  "descriptor-empty",
  "readable-after-writable",
  "indirect-not-negotiated",
  "indirect-with-next",
  "indirect-length",
  "indirect-outside-memory",
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

/** Where a ring lies: mostly where it should, sometimes nowhere good. */
function placeRing(random: SeededRandom, size: number, format: HostileFormat): RingAddresses {
  const layout = format.layout(random, size);
  const room = Math.max(0, ringRoom.size - layout.byteLength);
  const base = ringRoom.address + 4096 * random.below(Math.floor(room / 4096) + 1);
  const addresses: { -readonly [K in keyof RingAddresses]: number } = { ...layoutAt(layout, base) };
  const parts = ["descriptors", "available", "used"] as const;
  if (random.chance(0.02)) addresses[parts[random.below(3)]] = outside[random.below(outside.length)];
  if (random.chance(0.02)) addresses[parts[random.below(3)]] += 1 + random.below(15);
  return addresses;
}

function ringSize(random: SeededRandom, format: HostileFormat): number {
  if (random.chance(0.02)) return [0, 3, 24, 65536, -1, 1.5][random.below(6)];
  return random.chance(0.05) ? 4096 : format.size(random);
}

class RingFuzz {
  readonly #guarded: GuardedMemory;
  readonly #memory: GuestMemory;
  readonly #host = new RingHost();
  readonly #subject: RingSubject;
  readonly #format: HostileFormat;
  readonly #restless: RestlessRegion[] = [];

  constructor(subject: RingSubject, format: HostileFormat, restless: boolean) {
    this.#format = format;
    this.#guarded = restless
      ? new GuardedMemory([low, neighbour], (base, bytes) => {
          const region = new RestlessRegion(base, bytes);
          this.#restless.push(region);
          return region;
        })
      : new GuardedMemory([low, neighbour, vast]);
    this.#memory = this.#guarded.memory;
    this.#subject = subject;
    subject.device.attach(this.#host);
  }

  run(round: Round): void {
    const { random } = round;
    const host = this.#host;
    for (const region of this.#restless) region.onRead = undefined;
    const { device } = this.#subject;
    device.reset();
    host.queues.length = 0;
    host.round = round;
    host.endianness = this.#format.orders[random.below(this.#format.orders.length)];
    host.features = this.#subject.features(random);
    device.featuresChanged?.();
    const { reached } = this.#subject;
    for (const index of this.#subject.queues(random)) this.#drive(round, index);
    round.count(this.#subject.reached > reached ? "rings that reached the target" : "rings that did not");
    if (round.number % 256 === 0) this.#guarded.check();
  }

  /** Sets a queue up, fills it up to three times and has the device serve it. */
  #drive(round: Round, index: number): void {
    const { random } = round;
    const { endianness } = this.#host;
    const { format } = this.#format;
    const size = ringSize(random, this.#format);
    const addresses = placeRing(random, Math.max(1, size), this.#format);
    const indirect = random.chance(0.7);
    const past = random.chance(0.5) ? 65_500 + random.below(36) : 0;
    const startIndex = isRingSize(format, size) ? ringPlace(format, past, size) : 0;
    const options = { index, size, addresses, endianness, indirect, eventIndex: random.chance(0.5) };
    let queue: QueueDevice;
    try {
      const further = { startIndex, notifyOnEmpty: random.chance(0.2), inOrder: random.chance(0.2) };
      queue = createQueueDevice(format, this.#memory, { ...options, ...further });
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      round.count(error.code);
      return;
    }
    const vastRange =
      this.#memory.find(vast.base) === undefined ? {} : { vast: { address: vast.base, size: vast.size } };
    const places = { arena, outside, ...vastRange };
    const driver = this.#format.driver(this.#memory, { ...options, random, startIndex, ...places });
    driver.prepareRings();
    this.#host.queues[index] = queue;
    for (let times = 1 + random.below(3); times > 0; times--) {
      const contents = Array.from({ length: 1 + random.below(4) }, () =>
        this.#subject.content(random, index, endianness),
      );
      for (const trick of driver.publish(contents)) round.count(`trick ${trick}`);
      for (const region of this.#restless) this.#disturb(region, random);
      this.#subject.device.notified(index);
      for (const region of this.#restless) region.onRead = undefined;
      this.#subject.served?.(index);
    }
    if (queue.broken === undefined) round.count("rings that were sound to the end");
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

/** A device type, what its soaks are called, and how much of the quick tier's rounds it gets. */
interface SubjectType {
  readonly name: string;
  readonly suffix: string;
  readonly make: () => RingSubject;
  readonly quickShare?: number;
  /** It gives every chain back before it takes the next: no chain can be made available while it has it. */
  readonly keepsNothing?: boolean;
}

/** Hostile rings of one format against one device type; restless: fields change while they are read. */
function ringSoak(type: SubjectType, format: HostileFormat, restless: boolean): Soak {
  const { violations } = type.make();
  // Memory that changes has no room for chains of 2^32 bytes.
  const impossible: ViolationCode[] = restless ? ["chain-too-large"] : [];
  if (type.keepsNothing) impossible.push("head-in-flight");
  const ofRings = ringViolations.filter((code) => !impossible.includes(code));
  const names = [...ofRings, ...format.violations, ...violations];
  const kind = format.format === "split" ? "rings" : `${format.format} rings`;
  return {
    name: `${restless ? "restless-" : ""}${format.prefix}rings${type.suffix}`,
    title: restless
      ? `hostile ${kind} whose fields change while ${type.name} reads them`
      : `hostile ${kind} against the device half of ${type.name}`,
    quickRounds: (restless ? 3000 : format.quickRounds) * (type.quickShare ?? 1),
    start() {
      const fuzz = new RingFuzz(type.make(), format, restless);
      return (round) => fuzz.run(round);
    },
    goals(counts, rounds) {
      const reached = counts.get("rings that reached the target") ?? 0;
      if (rounds >= 1000 && reached < 0.3 * rounds) {
        throw new Error(`only ${reached} of ${rounds} rings reached the target`);
      }
      if (rounds >= 100_000) requireCounts(counts, names, 100);
      else if (rounds >= 2000) requireCounts(counts, names, 1);
    },
  };
}

const types: readonly SubjectType[] = [
  { name: "virtio-scsi", suffix: "", make: scsiSubject },
  { name: "virtio-blk", suffix: "-blk", make: blkSubject },
  { name: "virtio-net", suffix: "-net", make: netSubject, quickShare: 0.5 },
  { name: "virtio-entropy", suffix: "-entropy", make: entropySubject, quickShare: 0.25, keepsNothing: true },
  { name: "virtio-balloon", suffix: "-balloon", make: balloonSubject, quickShare: 0.25 },
  { name: "virtio-console", suffix: "-console", make: consoleSubject, quickShare: 0.25, keepsNothing: true },
  { name: "virtio-rpmsg", suffix: "-rpmsg", make: rpmsgSubject, quickShare: 0.25, keepsNothing: true },
];

/** Every format against every device type, as it lies still and as it changes. */
export const ringSoaks: readonly Soak[] = [split, packed].flatMap((format) =>
  types.flatMap((type) => [ringSoak(type, format, false), ringSoak(type, format, true)]),
);
