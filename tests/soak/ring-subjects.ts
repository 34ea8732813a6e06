/** Device types that hostile rings are driven against, and what is put into their chains. */
import type { Endianness } from "../../src/bytes/index.js";
import type { ViolationCode } from "../../src/errors/index.js";
import type { BlockFault, CommandFault, FaultHook } from "../../src/observe/index.js";
import { Disk, ScsiBus } from "../../src/scsi/index.js";
import { MemoryStore } from "../../src/storage/index.js";
import {
  type HostileContent,
  hostileControlRequest,
  hostileEventBuffer,
  hostileRequest,
  type SeededRandom,
} from "../../src/testing/index.js";
import type { DeviceType } from "../../src/transport/index.js";
import { ScsiQueue, VirtioBlkDevice, VirtioScsiDevice } from "../../src/virtio/index.js";
import { anyBlockRequest, blockDeviceOptions, blockSectors } from "./block-requests.js";

/** A device type as hostile rings need it. */
export interface RingSubject {
  readonly device: DeviceType;
  /** Requests whose header was sound, since the rounds began. */
  readonly reached: number;
  /** Violations that its requests can cause, besides those of rings. */
  readonly violations: readonly ViolationCode[];
  /** Features that are negotiated in a round. */
  features(random: SeededRandom): bigint;
  /** Queues that are driven in a round, in this order. */
  queues(random: SeededRandom): readonly number[];
  /** What goes into one chain of a queue. */
  content(random: SeededRandom, index: number, endianness: Endianness): HostileContent;
  /** A queue was served: the time for what the device does on its own. */
  served?(index: number): void;
}

/** Counts what comes through, and spoils some of it. */
class FaultsNowAndThen implements FaultHook {
  reached = 0;
  random: SeededRandom | undefined;

  command(): CommandFault | undefined {
    if (!this.#hits()) return undefined;
    return this.random?.chance(0.7) ? { kind: "never" } : { kind: "response", response: this.#anyCode() };
  }

  blockRequest(): BlockFault | undefined {
    if (!this.#hits()) return undefined;
    return this.random?.chance(0.7) ? { kind: "never" } : { kind: "status", status: this.#anyCode() };
  }

  #hits(): boolean {
    this.reached++;
    return this.random?.chance(0.03) === true;
  }

  #anyCode(): number {
    return 1 + (this.random?.below(9) ?? 0);
  }
}

/** virtio-scsi with one disk: request, control and event queue. */
export function scsiSubject(): RingSubject {
  const blocks = 512;
  const faults = new FaultsNowAndThen();
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(new MemoryStore(blocks * 512), { powerOnAttention: false }));
  const device = new VirtioScsiDevice(bus, {
    faults,
    inout: true,
    asyncEvents: 0x7e,
    eventLimit: { burst: 1e9, perSecond: 1e9 },
  });
  return {
    device,
    get reached() {
      return faults.reached;
    },
    violations: ["request-header-short", "response-space-short", "control-type-unknown", "event-buffer-readable"],
    features(random) {
      faults.random = random;
      return BigInt(random.below(8));
    },
    queues(random) {
      const place = random.below(10);
      if (place < 7) return [ScsiQueue.FirstRequest];
      const index = place < 9 ? ScsiQueue.Event : ScsiQueue.Control;
      // A request that stays gives task management something to find.
      return random.chance(0.5) ? [ScsiQueue.FirstRequest, index] : [index];
    },
    content(random, index, endianness) {
      if (index === ScsiQueue.Control) return hostileControlRequest(random, endianness);
      if (index === ScsiQueue.Event) return hostileEventBuffer(random);
      return hostileRequest(random, { endianness, blocks });
    },
    served(index) {
      if (index === ScsiQueue.Event) bus.reset("bus-reset");
    },
  };
}

/** virtio-blk with two queues, barriers and SCSI packet commands among them. */
export function blkSubject(): RingSubject {
  const faults = new FaultsNowAndThen();
  const scsi = new Disk(new MemoryStore(blockSectors * 512), { powerOnAttention: false });
  const store = new MemoryStore(blockSectors * 512);
  const device = new VirtioBlkDevice(store, { ...blockDeviceOptions, faults, scsi, queues: 2, barrier: true });
  return {
    device,
    get reached() {
      return faults.reached;
    },
    violations: [
      "request-header-short",
      "response-space-short",
      "request-data-length",
      "request-data-direction",
      "request-over-limit",
      "sector-past-capacity",
    ],
    features(random) {
      faults.random = random;
      return device.features & ((BigInt(random.below(2 ** 32)) << 16n) ^ BigInt(random.below(2 ** 32)));
    },
    queues: (random) => (random.chance(0.5) ? [0] : random.chance(0.5) ? [0, 1] : [1, 0]),
    content: (random, _index, endianness) => anyBlockRequest(random, endianness),
  };
}
