/** Driver halves of the virtio functions that are no storage adapters, and what each is asked. */
import type { Observer } from "../observe/index.js";
import { formatMac } from "../packet/index.js";
import type { DriverLink, DriverTransport, FeatureTable } from "../transport/index.js";
import {
  balloonFeatures,
  type ConsolePort,
  consoleFeatures,
  entropyFeatures,
  netFeatures,
  rpmsgFeatures,
  VirtioBalloonDriver,
  VirtioConsoleDriver,
  VirtioEntropyDriver,
  VirtioNetDriver,
  VirtioRpmsgDriver,
  virtioBalloonId,
  virtioConsoleId,
  virtioEntropyId,
  virtioNetId,
  virtioRpmsgId,
} from "../virtio/index.js";
import type { ConsoleFacts, FunctionFacts } from "./function-facts.js";

/** What drivers are opened with. */
export interface FunctionDriverOptions {
  readonly observer?: Observer | undefined;
  /** Asked now and then; throws to stop. */
  readonly check: () => void;
  /** The machine's processor does not run: a source of random bytes may wait for that. */
  readonly isStopped: boolean;
  /** Longest that an answer is waited for, milliseconds. */
  readonly patience: number;
}

/** A driver half that is up. */
export interface OpenFunction {
  readonly link: DriverLink;
  poll(): void;
  close(reason?: Error): Promise<void>;
  /** Asks the device. @throws the reason when the driver is closed meanwhile */
  facts(): Promise<FunctionFacts> | FunctionFacts;
}

/** How a function of one type is opened. */
export interface FunctionDriver {
  readonly kind: string;
  readonly featureTable: FeatureTable;
  open(transport: DriverTransport): Promise<OpenFunction>;
}

/** A device that told of its ports, and says nothing for so long, told of all of them. Milliseconds. */
const quiet = 50;
/** Random bytes that are asked for. */
const randomBytes = 64;
/** Pages that are given to a balloon at most: 4 MiB. */
const mostPages = 1024;

/** How functions are opened and asked, by virtio device ID. */
export function functionDrivers(options: FunctionDriverOptions): Readonly<Record<number, FunctionDriver>> {
  const { observer, check, isStopped, patience } = options;
  return {
    [virtioNetId]: {
      ...{ kind: "virtio-net", featureTable: netFeatures },
      open: async (transport) => {
        const driver = await VirtioNetDriver.open(transport, { observer, timeout: patience });
        return withFacts(driver, () => {
          const { mac, isLinkUp, maxQueuePairs: queuePairs, mtu, speed } = driver.info;
          return {
            ...(mac === undefined ? {} : { mac: formatMac(mac) }),
            ...{ link: isLinkUp ? "up" : "down", queuePairs },
            ...(mtu === undefined ? {} : { mtu }),
            ...(speed === undefined ? {} : { speed }),
          };
        });
      },
    },
    [virtioConsoleId]: {
      ...{ kind: "virtio-console", featureTable: consoleFeatures },
      open: async (transport) => {
        let heard = performance.now();
        const hear = () => {
          heard = performance.now();
        };
        const onPort = (port: ConsolePort) => {
          hear();
          port.onChange(hear);
        };
        const driver = await VirtioConsoleDriver.open(transport, { observer, onPort });
        return withFacts(driver, async () => {
          const end = performance.now() + patience;
          const isTold = () => driver.ports.size > 0 && performance.now() - heard >= quiet;
          await waitUntil(() => isTold() || performance.now() >= end, check);
          if (driver.failure !== undefined) throw driver.failure;
          return portsOf(driver);
        });
      },
    },
    [virtioEntropyId]: {
      ...{ kind: "virtio-entropy", featureTable: entropyFeatures },
      open: async (transport) => {
        const driver = await VirtioEntropyDriver.open(transport, { observer, timeout: patience });
        return withFacts(driver, async () => {
          if (isStopped) return { notAsked: "the processor is stopped" };
          return { bytes: await driver.read(new Uint8Array(randomBytes)) };
        });
      },
    },
    [virtioBalloonId]: {
      ...{ kind: "virtio-balloon", featureTable: balloonFeatures },
      open: async (transport) => {
        const driver = await VirtioBalloonDriver.open(transport, { observer, timeout: patience, mostPages });
        return withFacts(driver, async () => {
          await driver.settled();
          if (driver.failure !== undefined) throw driver.failure;
          return { pages: driver.pages, target: driver.target };
        });
      },
    },
    [virtioRpmsgId]: {
      ...{ kind: "virtio-rpmsg", featureTable: rpmsgFeatures },
      open: async (transport) => {
        const driver = await VirtioRpmsgDriver.open(transport, { observer });
        return withFacts(driver, async () => {
          const end = performance.now() + quiet;
          await waitUntil(() => driver.bus.services.length > 0 || performance.now() >= end, check);
          if (driver.failure !== undefined) throw driver.failure;
          return { services: driver.bus.services.map(({ name, address }) => ({ name, address })) };
        });
      },
    },
  };
}

interface Driver {
  readonly link: DriverLink;
  poll(): unknown;
  close(reason?: Error): Promise<void>;
}

function withFacts(driver: Driver, facts: OpenFunction["facts"]): OpenFunction {
  const poll = () => void driver.poll();
  return { link: driver.link, poll, close: (reason) => driver.close(reason), facts };
}

function portsOf(driver: VirtioConsoleDriver): ConsoleFacts {
  const ports = [...driver.ports.values()].filter((port) => port.isPresent).sort((one, other) => one.id - other.id);
  return {
    ports: ports.map(({ id, name, isConsole, isHostOpen, size }) => ({
      id,
      ...(name === undefined ? {} : { name }),
      ...{ console: isConsole, open: isHostOpen },
      ...(size === undefined ? {} : { columns: size.columns, rows: size.rows }),
    })),
  };
}

async function waitUntil(isSo: () => boolean, check: () => void): Promise<void> {
  while (!isSo()) {
    check();
    await new Promise<void>((resolve) => setTimeout(resolve, 5));
  }
}
