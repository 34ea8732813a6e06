/** The virtio-blk driver on an adapter for each image. */
import type { FoundAdapter, Machine } from "../machine/index.js";
import { BlkBlocks, BlkRequestError, BlkStatus, VirtioBlkDriver } from "../virtio/index.js";
import { allEnded } from "./all-ended.js";
import type { DrivenAdapter, DrivenSession, DriveOptions } from "./driven.js";
import { WorkFailed } from "./errors.js";
import type { PlacedImage } from "./image-argument.js";
import { Pump } from "./pump.js";
import { adaptersOf, openTransport } from "./session.js";

/** Opens the driver of each adapter: the first image is on the first one. @throws WorkFailed, UsageError */
export async function driveBlk(machine: Machine, options: DriveOptions): Promise<DrivenSession> {
  const { images } = options;
  const found = adaptersOf(machine, "blk", images.length);
  const pump = new Pump(machine);
  const drivers: VirtioBlkDriver[] = [];
  const close = async () => {
    try {
      await allEnded(drivers.map((driver) => driver.close()));
    } finally {
      await pump.close();
    }
  };
  try {
    const adapters: DrivenAdapter[] = [];
    for (const [index, image] of images.entries()) {
      options.check();
      const transport = openTransport(machine, found[index], options);
      const driver = await VirtioBlkDriver.open(transport, { observer: options.observer });
      drivers.push(driver);
      look(pump, driver);
      adapters.push(await drivenAdapter(image, found[index], driver));
    }
    return { adapters, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function look(pump: Pump, driver: VirtioBlkDriver): void {
  pump.add({
    mustPoll: driver.link.interruptMode === "none",
    get inFlight() {
      return driver.inFlight;
    },
    poll: () => {
      for (let queue = 0; queue < driver.requestQueues; queue++) driver.interrupt(queue);
    },
    fail: (error) => void driver.close(error).catch(() => {}),
  });
}

async function drivenAdapter(
  image: PlacedImage,
  adapter: FoundAdapter,
  driver: VirtioBlkDriver,
): Promise<DrivenAdapter> {
  const { info, link } = driver;
  if (info.blockSize !== image.blockSize) {
    throw new WorkFailed(`${image.path} was given blocks of ${image.blockSize} bytes, its disk has ${info.blockSize}`);
  }
  const unit = {
    image,
    ...{ target: 0, lun: 0, vendor: "", product: "", revision: "" },
    serial: (await identify(driver)) || undefined,
    physicalBlockSize: info.physicalBlockSize,
    blocks: new BlkBlocks(driver),
    isRefusal: (error: unknown) => info.isReadOnly && error instanceof BlkRequestError,
  };
  return {
    kind: "virtio-blk",
    transport: link.transport.kind,
    place: adapter.place,
    interrupts: link.interruptMode,
    features: info.features,
    units: [unit],
  };
}

/** Not every device has a name. */
async function identify(driver: VirtioBlkDriver): Promise<string> {
  try {
    return await driver.identify();
  } catch (error) {
    if (error instanceof BlkRequestError && error.status === BlkStatus.Unsupported) return "";
    throw error;
  }
}
