/** Starts the device on a machine: what Kickstart's autoinit does with it, and the way back. */
import { DeviceError, UnsupportedError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import { openPciTransport } from "../../transport/index.js";
import type { ScsiEventReport } from "../../virtio/index.js";
import { commandTableOf } from "./commands/index.js";
import type { ControllerIo } from "./device/controller-io.js";
import { DriverIo } from "./device/driver-io.js";
import { followEvent } from "./device/hotplug.js";
import { OwnIo } from "./device/own-io.js";
import { AmigaScsiDevice } from "./device/scsi-device.js";
import { openDataPath } from "./dma/index.js";
import { Exec, ExecMemory, type PageOrder } from "./exec/index.js";
import { type AmigaProfile, amigaProfiles } from "./profile.js";
import { type AmigaAdapter, type AmigaMachine, controllersInOrder, virtioScsiIds } from "./virtio/amiga-machine.js";
import { OwnController } from "./virtio/own-controller.js";
import { repairUpperBar } from "./virtio/pci-set-up.js";

/** How the device is started. */
export interface OpenAmigaOptions {
  /** Default `extended`. */
  readonly profile?: AmigaProfile["name"] | AmigaProfile | undefined;
  /** Default: the best there is. `none`: the interrupt server cannot be installed. */
  readonly interrupts?: "msix" | "intx" | "none" | undefined;
  /** Register interface that the extended profile uses. Default modern where there is one. */
  readonly registers?: "auto" | "legacy" | "modern" | undefined;
  /** How the pages of programs' memory lie. Default `contiguous`. */
  readonly pages?: PageOrder | undefined;
  /** The same when rings are made. Default `contiguous`. */
  readonly ringPages?: PageOrder | undefined;
  /** Milliseconds until a request that does not come back is given up. Default 10 000. */
  readonly timeout?: number | undefined;
  /** Feature bits that the extended profile may take. Default: all that it knows. */
  readonly features?: bigint | undefined;
  /** Index that rings start at; for tests. */
  readonly startIndex?: number | undefined;
  /** Lines for Amiga's debug console. */
  readonly debug?: ((text: string) => void) | undefined;
  /** A unit was found or plugged in (mounter.library's AnnounceDevice), or is gone. */
  readonly announce?: ((unit: number) => void) | undefined;
  readonly denounce?: ((unit: number) => void) | undefined;
  readonly observer?: Observer | undefined;
}

/** A running device with its exec. */
export interface AmigaSystem {
  readonly exec: Exec;
  readonly memory: ExecMemory;
  readonly device: AmigaScsiDevice;
  readonly profile: AmigaProfile;
  readonly controllers: readonly ControllerIo[];
  /** What the device said on the debug console. */
  readonly messages: readonly string[];
  /** Expunges the device. @throws DeviceError when somebody has it open. */
  close(): Promise<void>;
}

const defaultTimeout = 10_000;
/** Lines that are kept. */
const mostMessages = 1000;

/**
 * Initialises the device.
 * @throws UnsupportedError when its initialisation returns NULL: no controller could be used. The message says why.
 */
export async function openAmigaos(
  machine: AmigaMachine,
  adapters: readonly AmigaAdapter[],
  options: OpenAmigaOptions = {},
): Promise<AmigaSystem> {
  const { profile: wanted = "extended", timeout = defaultTimeout } = options;
  const profile = typeof wanted === "string" ? amigaProfiles[wanted] : wanted;
  const messages: string[] = [];
  const debug = (text: string) => {
    if (messages.length < mostMessages) messages.push(text);
    options.debug?.(text);
  };
  const memory = new ExecMemory(machine.memory, machine.dma, options.pages);
  const exec = new Exec();
  const device = new AmigaScsiDevice({
    ...{ exec, memory, profile, timeout, debug, openDataPath },
    commands: commandTableOf(profile),
    announce: (unit) => options.announce?.(unit),
    denounce: (unit) => options.denounce?.(unit),
  });
  const found = controllersInOrder(adapters, profile.order).slice(0, profile.controllers);
  const reasons: string[] = [];
  try {
    for (const adapter of found) {
      try {
        await start(device, machine, adapter, { ...options, timeout, debug });
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        debug(`${adapter.fn.place}: ${why}`);
        reasons.push(`${adapter.fn.place}: ${why}`);
      }
    }
    if (device.controllers.length === 0) {
      throw new UnsupportedError(reasons.length > 0 ? reasons.join("; ") : "there is no virtio-scsi controller");
    }
    exec.addDevice(device);
    if (profile.behaviour.registration === "twice") exec.addDevice(device);
  } catch (error) {
    await device.expunge();
    throw error;
  }
  for (const unit of device.units) if (unit !== undefined) device.announce(unit);
  return {
    ...{ exec, memory, device, profile, messages },
    controllers: device.controllers,
    async close() {
      if (!(await device.expunge())) throw new DeviceError(`${device.name} is open and goes at the last close`);
    },
  };
}

type StartOptions = OpenAmigaOptions & { readonly timeout: number; readonly debug: (text: string) => void };

async function start(
  device: AmigaScsiDevice,
  machine: AmigaMachine,
  adapter: AmigaAdapter,
  options: StartOptions,
): Promise<void> {
  const { profile, memory } = device;
  const { fn } = adapter;
  // What firmware does for a device with I/O ports before any driver sees it.
  if (fn.deviceId === virtioScsiIds.transitional) fn.enable({ io: true, busMaster: true });
  if (profile.behaviour.machinery === "own") {
    const { debug, startIndex, observer, timeout, ringPages } = options;
    const hasInterrupt = options.interrupts !== "none";
    const controller = OwnController.open({
      ...{ machine, adapter, memory, profile, hasInterrupt, debug, startIndex, observer, ringPages },
    });
    await device.scan(new OwnIo(controller, timeout));
    return;
  }
  const events: ScsiEventReport[] = [];
  let follow = (event: ScsiEventReport): void => {
    events.push(event);
  };
  const io = await openDriverIo(machine, adapter, profile, options, (event) => follow(event));
  const controller = device.controllers.length;
  const scan = device.scan(io);
  let turn = scan;
  follow = (event) => {
    turn = turn.then(
      () => followEvent(device, controller, io, event),
      () => {},
    );
  };
  for (const event of events) follow(event);
  await scan;
}

function openDriverIo(
  machine: AmigaMachine,
  { fn }: AmigaAdapter,
  profile: AmigaProfile,
  options: StartOptions,
  onEvent: (event: ScsiEventReport) => void,
): Promise<DriverIo> {
  const { memory, dma, board, interrupts } = machine;
  const { timeout, debug, features, startIndex, observer } = options;
  repairUpperBar(fn);
  const place = { bridge: fn.bridgeIndex, bus: fn.bus, slot: fn.slot, pin: fn.interruptPin };
  const attachMessage = interrupts.attachMessage?.bind(interrupts);
  return DriverIo.open({
    ...{ profile, timeout, debug, features, startIndex, onEvent, observer },
    idle: (milliseconds) => machine.idle(milliseconds),
    openTransport: () =>
      openPciTransport(fn, {
        ...{ memory, dma, observer },
        guestEndianness: board.endianness,
        registers: options.registers,
        prefer: options.interrupts,
        interrupts: {
          attachLine: (handler) => interrupts.attachLine(place, handler),
          ...(attachMessage === undefined ? {} : { attachMessage }),
        },
      }),
  });
}
