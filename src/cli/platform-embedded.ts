/** The embedded platform: our device halves over the images, or over scratch overlays of them. */
import { EmbeddedMachine } from "../platform/embedded/index.js";
import { Disk, ScsiBus } from "../scsi/index.js";
import { OverlayStore } from "../storage/index.js";
import { VirtioScsiDevice } from "../virtio/index.js";
import { openPlacedImage } from "./open-placed-image.js";
import { adapterFlavour, adapterVectors, type PlatformMachine, type PlatformOptions } from "./platform.js";

const scsiController = 0x01_0000;

/** @throws ImageError, UsageError */
export async function startEmbedded(options: PlatformOptions): Promise<PlatformMachine> {
  const { board, observer } = options;
  const bus = new ScsiBus();
  try {
    for (const image of options.images) {
      const file = openPlacedImage(image, options);
      const store = options.write || image.readOnly ? file : new OverlayStore(file);
      bus.attach(image.target, image.lun, new Disk(store, { blockSize: image.blockSize }));
    }
    const machine = new EmbeddedMachine(board, {
      ...(options.ram === undefined ? {} : { ramSize: options.ram }),
      observer,
    });
    machine.plugVirtio(new VirtioScsiDevice(bus, { observer }), {
      classCode: scsiController,
      flavour: adapterFlavour(board, options.registers),
      vectors: adapterVectors(board),
    });
    const close = async () => {
      await machine.close();
      await bus.close();
    };
    return { machine, close };
  } catch (error) {
    await bus.close();
    throw error;
  }
}
