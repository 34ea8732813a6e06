/** Hostile used rings against the driver halves of both ring formats. */
import assert from "node:assert/strict";
import { ProtocolError, type ViolationCode } from "../../src/errors/index.js";
import { DmaAllocator, GuestDma, type GuestMemory } from "../../src/memory/index.js";
import {
  GuardedMemory,
  HostileDevice,
  type HostileDeviceOptions,
  HostilePackedDevice,
  type HostileRingDevice,
  RestlessRegion,
} from "../../src/testing/index.js";
import {
  ChainPieces,
  compactLayout,
  createQueueDriver,
  layoutAt,
  legacyLayout,
  packedLayout,
  type QueueDriver,
  type RingFormat,
  ringPlace,
} from "../../src/virtqueue/index.js";
import { type Round, requireCounts, type Soak } from "./soak.js";

/** Violations that a device can cause on a ring of any format. */
const usedRingViolations: readonly ViolationCode[] = [
  "used-id-out-of-range",
  "used-id-not-in-flight",
  "used-length-too-large",
];

/** Hostile devices on one ring format: one entry a format. */
interface HostileFormat {
  readonly format: RingFormat;
  /** Before the names of its soaks. */
  readonly prefix: string;
  /** Further violations. */
  readonly violations: readonly ViolationCode[];
  readonly hasBothOrders: boolean;
  device(memory: GuestMemory, options: HostileDeviceOptions): HostileRingDevice;
}

const formats: readonly HostileFormat[] = [
  {
    format: "split",
    prefix: "",
    violations: ["used-index-jump"],
    hasBothOrders: true,
    device: (memory, options) => new HostileDevice(memory, options),
  },
  {
    format: "packed",
    prefix: "packed-",
    violations: ["used-descriptor-changed"],
    hasBothOrders: false,
    device: (memory, options) => new HostilePackedDevice(memory, options),
  },
];

/** A chain as its owner remembers it. */
interface Cookie {
  readonly number: number;
  readonly room: number;
  returned: boolean;
}

class UsedRingFuzz {
  readonly #guarded: GuardedMemory;
  readonly #regions: RestlessRegion[] = [];
  readonly #dma: GuestDma;
  readonly #allocator: DmaAllocator;
  readonly #pieces = new ChainPieces();
  readonly #format: HostileFormat;

  constructor(format: HostileFormat, restless: boolean) {
    this.#format = format;
    const region = { base: 0x1000, size: 0x10_0000 };
    this.#guarded = restless
      ? new GuardedMemory([region], (base, bytes) => {
          const made = new RestlessRegion(base, bytes);
          this.#regions.push(made);
          return made;
        })
      : new GuardedMemory([region]);
    this.#allocator = new DmaAllocator(this.#guarded.memory, 0x1000, 0x8_0000);
    this.#dma = new GuestDma(this.#guarded.memory, this.#allocator);
  }

  run(round: Round): void {
    const { random } = round;
    const { memory } = this.#guarded;
    const { format, hasBothOrders } = this.#format;
    const size = format === "packed" ? 1 + random.below(2 ** random.below(9)) : 2 ** random.below(9);
    const isCompact = !hasBothOrders || random.chance(0.5);
    const layout = format === "packed" ? packedLayout(size) : isCompact ? compactLayout(size) : legacyLayout(size);
    const ring = this.#dma.allocate(layout.byteLength, layout.alignment);
    const addresses = layoutAt(layout, ring.address);
    const startIndex = ringPlace(format, random.chance(0.5) ? 65_500 + random.below(36) : 0, size);
    const cutsLength = random.chance(0.3);
    const endianness = !hasBothOrders || random.chance(0.5) ? ("little" as const) : ("big" as const);
    const common = { size, addresses, endianness };
    const driver = createQueueDriver<Cookie>(format, memory, {
      ...common,
      index: 0,
      indirect: random.chance(0.5),
      eventIndex: random.chance(0.5),
      dma: this.#dma,
      startIndex,
      excessUsedLength: cutsLength ? "cut" : "violation",
    });
    const device = this.#format.device(memory, { ...common, random, startIndex });
    const cookies: Cookie[] = [];
    let broken: ProtocolError | undefined;
    for (let step = 0; step < 20 && broken === undefined; step++) {
      this.#add(round, driver, device, cookies);
      const trick = device.step(random.below(6));
      if (trick !== undefined) round.count(`trick ${trick}`);
      if (random.chance(0.3) && !driver.enableInterrupts() && random.chance(0.1)) {
        device.takeBack();
        round.count("trick take-back");
      }
      for (const region of this.#regions) region.onRead = this.#disturb(region, round);
      broken = this.#reap(round, driver, cookies);
      for (const region of this.#regions) region.onRead = undefined;
    }
    if (broken !== undefined) this.#checkBroken(driver, broken);
    else round.count("rings that were sound to the end");
    const back = driver.detachAll();
    for (const cookie of back) take(cookie);
    assert.equal(cookies.filter(({ returned }) => !returned).length, 0, "a chain came back neither used nor detached");
    assert.equal(driver.inFlight, 0);
    this.#dma.free(ring);
    assert.equal(this.#allocator.allocatedBytes, 0, "indirect tables were not given back");
    if (round.number % 64 === 0) this.#guarded.check();
  }

  #add(round: Round, driver: QueueDriver<Cookie>, device: HostileRingDevice, cookies: Cookie[]): void {
    const { random } = round;
    const rooms: number[] = [];
    for (let chains = random.below(6); chains > 0; chains--) {
      const count = 1 + random.below(6);
      const readable = random.below(count + 1);
      let room = 0;
      this.#pieces.clear();
      for (let piece = 0; piece < count; piece++) {
        const length = 1 + random.below(4096);
        if (piece < readable) this.#pieces.addReadable(0x9_0000 + random.below(4096), length);
        else {
          this.#pieces.addWritable(0x9_0000 + random.below(4096), length);
          room += length;
        }
      }
      const cookie = { number: cookies.length, room, returned: false };
      if (!driver.add(this.#pieces, cookie)) break;
      rooms.push(room);
      cookies.push(cookie);
    }
    driver.publish();
    for (const room of rooms) device.take(room);
  }

  #reap(round: Round, driver: QueueDriver<Cookie>, cookies: readonly Cookie[]): ProtocolError | undefined {
    try {
      for (let cookie = driver.reap(); cookie !== undefined; cookie = driver.reap()) {
        take(cookie);
        assert.ok(driver.usedLength <= cookie.room, "more was written than there was room");
        round.count("chains used");
      }
      if (round.random.chance(0.3)) driver.disableInterrupts();
      else if (round.random.chance(0.5)) driver.enableInterrupts();
      const inFlight = cookies.filter(({ returned }) => !returned).length;
      assert.equal(driver.inFlight, inFlight);
      return undefined;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      round.count(error.code);
      return error;
    }
  }

  /** A broken queue says so once, then is quiet: nothing goes in or comes out. */
  #checkBroken(driver: QueueDriver<Cookie>, error: ProtocolError): void {
    assert.equal(error.queue, 0);
    assert.equal(driver.reap(), undefined);
    this.#pieces.clear();
    this.#pieces.addReadable(0x9_0000, 1);
    assert.equal(driver.add(this.#pieces, { number: 0, room: 0, returned: false }), false);
    assert.equal(driver.enableInterrupts(), true, "a broken queue must not be polled for ever");
  }

  #disturb(region: RestlessRegion, round: Round) {
    const { random } = round;
    return (offset: number, width: number) => {
      if (random.chance(0.05)) region.bytes[offset + random.below(width)] = random.below(256);
    };
  }
}

function take(cookie: Cookie): void {
  assert.equal(cookie.returned, false, `chain ${cookie.number} came back twice`);
  cookie.returned = true;
}

function usedRingSoak(format: HostileFormat, restless: boolean): Soak {
  const names = [...usedRingViolations, ...format.violations];
  const kind = format.format === "split" ? "used rings" : `used descriptors of ${format.format} rings`;
  return {
    name: `${restless ? "restless-" : ""}${format.prefix}used-rings`,
    title: `hostile ${kind} ${restless ? "that change while the driver reads them" : "against the driver half"}`,
    quickRounds: restless ? 2000 : 4000,
    start() {
      const fuzz = new UsedRingFuzz(format, restless);
      return (round) => fuzz.run(round);
    },
    goals(counts, rounds) {
      if (rounds >= 10_000) requireCounts(counts, names, 100);
      else if (rounds >= 1000) requireCounts(counts, names, 1);
    },
  };
}

/** Every format, as it lies still and as it changes. */
export const usedRingSoaks: readonly Soak[] = formats.flatMap((format) => [
  usedRingSoak(format, false),
  usedRingSoak(format, true),
]);
