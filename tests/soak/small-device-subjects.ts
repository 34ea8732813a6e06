/** Entropy, balloon, console and rpmsg as hostile rings are driven against them. */
import type { Endianness } from "../../src/bytes/index.js";
import { anyBytes, anyNumber, type HostileContent, type SeededRandom } from "../../src/testing/index.js";
import {
  ConsoleEvent,
  ConsoleQueue,
  consoleControl,
  nameServiceAddress,
  nameServiceMessage,
  RpmsgQueue,
  receiveQueueOf,
  rpmsgHeader,
  transmitQueueOf,
  VirtioBalloonDevice,
  VirtioConsoleDevice,
  VirtioEntropyDevice,
  VirtioRpmsgDevice,
} from "../../src/virtio/index.js";
import type { RingSubject } from "./ring-subjects.js";

const nothing = new Uint8Array(0);

/** Bytes to fill, mostly writable only, at a rate that leaves some waiting in most rounds. */
export function entropySubject(): RingSubject {
  let now = 0;
  const device = new VirtioEntropyDevice({
    ...{ source: (bytes) => bytes.fill(0x5e), queueSize: 256 },
    // The clock moves with each look: one that stands still has the device wait, and the process stay, for ever.
    ...{ rate: { bytes: 2000, milliseconds: 1 }, now: () => (now += 0.01) },
  });
  return {
    device,
    get reached() {
      return device.bytesGiven;
    },
    violations: ["request-data-direction"],
    features() {
      now++;
      return 0n;
    },
    queues: () => [0],
    content: (random) => ({
      readable: random.chance(0.9) ? nothing : anyBytes(random, 1 + random.below(20)),
      writable: random.chance(0.9) ? 1 + random.below(600) : random.below(20_000),
    }),
  };
}

/** Lists of pages, and statistics. */
export function balloonSubject(): RingSubject {
  let reached = 0;
  const device = new VirtioBalloonDevice({ pageLimit: 4096, inflated: () => reached++, queueSize: 256 });
  const pages = (random: SeededRandom, endianness: Endianness): Uint8Array => {
    const list = new DataView(new ArrayBuffer(4 * (1 + random.below(60))));
    for (let at = 0; at < list.byteLength; at += 4) {
      list.setUint32(at, random.chance(0.95) ? random.below(4096) : anyNumber(random), endianness === "little");
    }
    return new Uint8Array(list.buffer);
  };
  return {
    device,
    get reached() {
      return reached;
    },
    violations: ["request-data-length", "address-outside-memory"],
    features: (random) => BigInt(random.below(4)),
    queues: (random) => (random.chance(0.7) ? [0] : random.chance(0.5) ? [0, 1] : [2, 0]),
    content(random, index, endianness) {
      const writable = random.chance(0.9) ? 0 : 1 + random.below(30);
      if (random.chance(0.1) || index === 2) return { readable: anyBytes(random, 1 + random.below(700)), writable };
      return { readable: pages(random, endianness), writable };
    },
    served(index) {
      if (index === 2) device.askStatistics().catch(() => {});
    },
  };
}

/** Two ports and a place for a third; control messages that mostly mean something. */
export function consoleSubject(): RingSubject {
  let reached = 0;
  let random: SeededRandom | undefined;
  const device = new VirtioConsoleDevice({
    ...{ ports: [{ name: "zero" }, { name: "one" }], maxPorts: 3, queueSize: 256 },
    size: { columns: 80, rows: 25 },
  });
  for (const port of device.ports) {
    port.onData = () => {
      reached++;
      // What answers at once is served in the middle of a notification.
      if (random?.chance(0.2)) port.send(new Uint8Array(100));
    };
    port.onGuestOpen = () => {
      reached++;
    };
  }
  const control = (source: SeededRandom, endianness: Endianness): HostileContent => {
    const readable = new Uint8Array(consoleControl.size);
    consoleControl.write(new DataView(readable.buffer), 0, endianness, {
      id: source.chance(0.9) ? source.below(3) : anyNumber(source),
      event: source.chance(0.9) ? [ConsoleEvent.DeviceReady, 3, 6][source.below(3)] : source.below(0x10000),
      value: source.below(3),
    });
    return { readable: source.chance(0.95) ? readable : readable.subarray(0, source.below(8)), writable: 0 };
  };
  return {
    device,
    get reached() {
      return reached;
    },
    violations: ["request-header-short", "response-space-short", "control-type-unknown", "request-data-direction"],
    features(source) {
      random = source;
      return source.chance(0.7) ? device.features : BigInt(source.below(8));
    },
    queues(source) {
      const port = source.below(3);
      const { ControlReceive, ControlTransmit } = ConsoleQueue;
      if (source.chance(0.5)) return [transmitQueueOf(port % 2)];
      if (source.chance(0.5)) return [ControlReceive, ControlTransmit, receiveQueueOf(port), transmitQueueOf(0)];
      return [ControlTransmit, ControlReceive, transmitQueueOf(port)];
    },
    content(source, index, endianness) {
      if (index === ConsoleQueue.ControlTransmit) return control(source, endianness);
      const isReceive = index % 2 === 0;
      const readable = isReceive === source.chance(0.05) ? anyBytes(source, 1 + source.below(300)) : nothing;
      return { readable, writable: isReceive ? 1 + source.below(64) : source.below(3) };
    },
    served(index) {
      if (index === ConsoleQueue.ControlReceive) device.resize({ columns: 80, rows: 20 + (random?.below(9) ?? 0) });
      for (const port of device.ports) port.send(new Uint8Array(50));
    },
  };
}

/** Messages between endpoints, announcements among them. */
export function rpmsgSubject(): RingSubject {
  let reached = 0;
  const device = new VirtioRpmsgDevice({ patience: 16 });
  const endpoint = device.bus.createEndpoint({ address: 1024, name: "subject" });
  endpoint.onMessage = ({ source, data }) => {
    reached++;
    endpoint.send(source, data.subarray(0, 100)).catch(() => {});
  };
  device.bus.onService(() => reached++);
  return {
    device,
    get reached() {
      return reached;
    },
    violations: ["request-header-short", "request-data-length", "response-space-short"],
    features: (random) => BigInt(random.chance(0.8) ? 1 : 0),
    queues: (random) => {
      const { Receive, Transmit } = RpmsgQueue;
      return random.chance(0.5) ? [Transmit] : random.chance(0.5) ? [Receive, Transmit] : [Transmit, Receive, Transmit];
    },
    content(random, index, endianness) {
      if (index === RpmsgQueue.Receive) {
        return { readable: nothing, writable: random.chance(0.9) ? 512 : 1 + random.below(200) };
      }
      const isName = random.chance(0.3);
      const data = isName ? new Uint8Array(nameServiceMessage.size) : anyBytes(random, random.below(200));
      if (isName) {
        const address = random.below(2000);
        const flags = random.chance(0.9) ? random.below(2) : anyNumber(random);
        const named = { name: `service${random.below(40)}`, address, flags };
        nameServiceMessage.write(new DataView(data.buffer), 0, endianness, named);
      }
      const readable = new Uint8Array(rpmsgHeader.size + data.length);
      rpmsgHeader.write(new DataView(readable.buffer), 0, endianness, {
        source: random.below(4000),
        destination: isName ? nameServiceAddress : random.chance(0.9) ? 1024 : anyNumber(random),
        length: random.chance(0.95) ? data.length : random.below(0x10000),
      });
      readable.set(data, rpmsgHeader.size);
      const isCut = random.chance(0.03);
      return { readable: isCut ? readable.subarray(0, 1 + random.below(15)) : readable, writable: 0 };
    },
  };
}
