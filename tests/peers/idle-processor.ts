/**
 * QEMU with a processor that runs but does nothing: devices that wait for a running machine (entropy, statistics of the
 * balloon, what comes in from outside) work then, and memory is still ours.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { boards, findVirtioAdapters, type OpenAdapterOptions, openAdapter, settle } from "../../src/machine/index.js";
import { findQemu, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import type { DriverTransport } from "../../src/transport/index.js";

/** Why a board cannot be had, as `node:test` takes it. */
export function skipWithout(board: keyof typeof boards): { skip?: string } {
  try {
    findQemu(boards[board]);
    return {};
  } catch (error) {
    return { skip: (error as Error).message };
  }
}

/** Firmware that makes a processor sleep for good. */
export function idleFirmware(board: keyof typeof boards): Uint8Array {
  const image = new Uint8Array(boards[board].qemu?.firmwareSize || 65_536);
  if (boards[board].endianness === "big") {
    // PowerPC: HID0 = nap; MSR[POW] = 1; and the same again.
    const code = [0x3c60_0040, 0x7c70_fba6, 0x7c80_00a6, 0x6484_0004, 0x7c80_0124, 0x4bff_fff0];
    const words = new DataView(image.buffer);
    for (const [index, word] of code.entries()) words.setUint32(0x100 + 4 * index, word);
    return image;
  }
  // A PC starts 16 bytes before the end. cli; hlt; and again after what cannot be masked.
  image.set([0xfa, 0xf4, 0xeb, 0xfd], image.length - 16);
  return image;
}

/** A machine, and a driver's way to the device in it. */
export interface DeviceOnQemu {
  readonly machine: QemuMachine;
  /** Opens a transport to the device. */
  open(): DriverTransport;
  /** Ends when `condition` holds. @throws Error after 10 s */
  until(condition: () => boolean): Promise<void>;
}

/** What QEMU is to be. */
export interface DeviceOnQemuOptions {
  readonly board: keyof typeof boards;
  /** Arguments of QEMU; `pci` gives a device's name with what the mode asks for. */
  readonly device: (pci: (driver: string) => string) => readonly string[];
  readonly deviceId: number;
  readonly mode: "legacy" | "modern";
  readonly prefer?: OpenAdapterOptions["prefer"];
  /** The processor runs. Default false. */
  readonly runs?: boolean;
}

/** Starts QEMU, does `work` while its interrupts are fetched, and ends it. */
export async function withDeviceOnQemu(
  options: DeviceOnQemuOptions,
  work: (found: DeviceOnQemu) => Promise<void>,
): Promise<void> {
  const { board, mode, runs = false } = options;
  const folder = mkdtempSync(join(tmpdir(), "ringside-device-"));
  const pci = (driver: string) => {
    const { qemuBus } = boards[board].adapters ?? {};
    const name = mode === "modern" ? `${driver}-non-transitional` : `${driver},disable-modern=on`;
    return qemuBus === undefined ? name : `${name},bus=${qemuBus}`;
  };
  const firmware = join(folder, "firmware");
  if (runs) writeFileSync(firmware, idleFirmware(board));
  try {
    const machine = await startQemuMachine({
      board: boards[board],
      extraArguments: [...options.device(pci), ...(runs ? ["-bios", firmware] : [])],
    });
    try {
      if (runs) await machine.qmp.execute("cont");
      const adapter = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === options.deviceId);
      if (adapter === undefined) throw new Error(`no device ${options.deviceId} found`);
      const open = () =>
        openAdapter(machine, adapter, {
          prefer: options.prefer,
          registers: mode,
        });
      const until = async (condition: () => boolean) => {
        const end = Date.now() + 10_000;
        while (!condition()) {
          if (Date.now() > end) throw new Error(`it did not happen in 10 s: ${condition.toString()}`);
          await machine.idle(20);
        }
      };
      await settle(machine, work({ machine, open, until }));
    } finally {
      await machine.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
