/** Every virtio function of a machine that is no storage adapter: opened by its driver half, asked, and closed again. */
import { type FoundAdapter, findVirtioAdapters, type Machine } from "../machine/index.js";
import { type DriverTransport, featureNames, ringFeatures } from "../transport/index.js";
import { virtioBlkId, virtioRpmsgId, virtioScsiId } from "../virtio/index.js";
import type { DrivenFunction } from "./driven.js";
import { Interrupted, UsageError, WorkFailed } from "./errors.js";
import { type FunctionDriver, functionDrivers } from "./function-drivers.js";
import { Pump } from "./pump.js";
import { openTransport, type SessionOptions } from "./session.js";

/** How functions are looked at. */
export interface FunctionOptions extends SessionOptions {
  /** Asked now and then; throws to stop. */
  readonly check: () => void;
  /** The machine's processor does not run. Default: it does, or nothing waits for it. */
  readonly isStopped?: boolean | undefined;
  /** Longest that an answer is waited for, milliseconds. Default 5000. */
  readonly patience?: number;
}

/**
 * What the functions are, in the order in which they are found. None of them is driven any more afterwards.
 * @throws WorkFailed when one does not come up or does not answer, which it names; UsageError when one has not the
 * registers asked for.
 */
export async function driveFunctions(machine: Machine, options: FunctionOptions): Promise<DrivenFunction[]> {
  const isStorage = ({ deviceId }: FoundAdapter) => deviceId === virtioBlkId || deviceId === virtioScsiId;
  const found = findVirtioAdapters(machine).filter((adapter) => !isStorage(adapter));
  const functions: DrivenFunction[] = [];
  for (const adapter of found) {
    options.check();
    functions.push(await driveFunction(machine, adapter, options));
  }
  return functions;
}

async function driveFunction(
  machine: Machine,
  adapter: FoundAdapter,
  options: FunctionOptions,
): Promise<DrivenFunction> {
  const { check, observer, isStopped = false, patience = 5000 } = options;
  const { deviceId, place } = adapter;
  const type = functionDrivers({ check, observer, isStopped, patience })[deviceId];
  try {
    if (type === undefined) return unknownFunction(machine, adapter, options);
    // There is no transitional rpmsg device: boards whose system has legacy drivers have it modern all the same.
    const registers = deviceId === virtioRpmsgId ? "modern" : options.registers;
    const transport = openTransport(machine, adapter, { ...options, registers });
    const pump = new Pump(machine);
    try {
      return { ...(await ask(type, transport, pump, patience)), place };
    } finally {
      await pump.close();
    }
  } catch (error) {
    if (error instanceof Interrupted || error instanceof UsageError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new WorkFailed(`${type?.kind ?? `virtio-${deviceId}`} at ${place}: ${why}`, { cause: error });
  }
}

async function ask(
  type: FunctionDriver,
  transport: DriverTransport,
  pump: Pump,
  patience: number,
): Promise<Omit<DrivenFunction, "place">> {
  const driver = await type.open(transport);
  // Every answer has its limit; this one is for a device that always has something else to say.
  const late = () => void driver.close(new WorkFailed(`no end in ${2 * patience} ms`)).catch(() => {});
  const timer = setTimeout(late, 2 * patience);
  try {
    const { link } = driver;
    pump.add({
      mustPoll: link.interruptMode === "none",
      inFlight: 0,
      poll: () => driver.poll(),
      fail: (error) => void driver.close(error).catch(() => {}),
    });
    const features = featureNames(link.features, type.featureTable, ringFeatures);
    const { interruptMode: interrupts } = link;
    return { kind: type.kind, transport: transport.kind, interrupts, features, facts: await driver.facts() };
  } finally {
    clearTimeout(timer);
    await driver.close();
  }
}

/** Only looked at: nobody here knows what its queues want. */
function unknownFunction(machine: Machine, adapter: FoundAdapter, options: FunctionOptions): DrivenFunction {
  const { deviceId, place } = adapter;
  const transport = openTransport(machine, adapter, { ...options, registers: "auto" });
  const offered = featureNames(transport.readFeatures(), ringFeatures);
  return {
    ...{ kind: `virtio-${deviceId}`, transport: transport.kind, place, interrupts: "none", features: [] },
    facts: { type: deviceId, offered },
  };
}
