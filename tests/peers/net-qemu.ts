/** A virtio-net adapter of QEMU's whose processor runs (net wants that), and the other end of its cable. */
import { writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { boards, findVirtioAdapters, type OpenAdapterOptions, openAdapter, settle } from "../../src/machine/index.js";
import { findQemu, type QemuMachine, startQemuMachine } from "../../src/platform/qemu/index.js";
import { type NetDriverOptions, VirtioNetDriver, virtioNetId } from "../../src/virtio/index.js";

/** Why there is no QEMU for these tests, if there is none. */
export function whyNoQemu(): string | undefined {
  try {
    const { version } = findQemu(boards.pc);
    const [major, minor] = version.split(".").map(Number);
    return major > 7 || (major === 7 && minor >= 2) ? undefined : `QEMU ${version} has no -netdev stream`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Firmware that halts the processor: at the reset vector `cli; hlt; jmp` back to the `hlt`. */
export function haltingFirmware(folder: string): string {
  const image = new Uint8Array(64 * 1024).fill(0xf4);
  image.set([0xfa, 0xf4, 0xeb, 0xfd], 0xfff0);
  const path = join(folder, "halt.bin");
  writeFileSync(path, image);
  return path;
}

/** The other end of a `-netdev stream`: frames with their length before them, over a Unix socket. */
export class StreamPeer {
  readonly frames: Uint8Array[] = [];
  readonly #server: Server;
  #socket: Socket | undefined;
  #pending = Buffer.alloc(0);

  private constructor(server: Server) {
    this.#server = server;
  }

  static listen(path: string): Promise<StreamPeer> {
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => peer.#take(socket));
      const peer = new StreamPeer(server);
      server.once("error", reject);
      server.listen(path, () => resolve(peer));
    });
  }

  send(frame: Uint8Array): void {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length);
    this.#socket?.write(Buffer.concat([length, frame]));
  }

  /** Reads nothing until `resume`: the socket becomes full. */
  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  close(): void {
    this.#socket?.destroy();
    this.#server.close();
  }

  #take(socket: Socket): void {
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (data) => {
      this.#pending = Buffer.concat([this.#pending, data]);
      while (this.#pending.length >= 4) {
        const length = this.#pending.readUInt32BE(0);
        if (this.#pending.length < 4 + length) break;
        this.frames.push(Uint8Array.from(this.#pending.subarray(4, 4 + length)));
        this.#pending = this.#pending.subarray(4 + length);
      }
    });
  }
}

/** How the adapter is made and driven. */
export interface QemuNetCase {
  /** Properties of the device besides its network, e.g. `disable-modern=on`. */
  readonly device?: string;
  /** `-netdev` without its id. */
  readonly netdev: string;
  readonly prefer?: OpenAdapterOptions["prefer"];
  readonly registers?: OpenAdapterOptions["registers"];
  readonly driver?: NetDriverOptions;
}

/** Runs `work` with our driver on QEMU's adapter; everything is taken down afterwards. */
export async function withQemuNet(
  folder: string,
  { device = "", netdev, prefer = "msix", registers = "auto", driver: options = {} }: QemuNetCase,
  work: (driver: VirtioNetDriver, machine: QemuMachine) => Promise<void>,
): Promise<void> {
  const properties = ["virtio-net-pci,id=nic,netdev=cable,mac=52:54:00:aa:bb:cc,romfile=", device].filter(Boolean);
  const machine = await startQemuMachine({
    board: boards.pc,
    extraArguments: [
      ...["-bios", haltingFirmware(folder), "-netdev", `${netdev},id=cable`],
      ...["-device", properties.join(",")],
    ],
  });
  try {
    await machine.qmp.execute("cont");
    const found = findVirtioAdapters(machine).find(({ deviceId }) => deviceId === virtioNetId);
    if (found === undefined) throw new Error("no adapter found");
    const driver = await settle(
      machine,
      VirtioNetDriver.open(openAdapter(machine, found, { prefer, registers }), options),
    );
    await settle(machine, work(driver, machine));
    await settle(machine, driver.close());
  } finally {
    await machine.close();
  }
}

/** Lets QEMU work until something is so. @throws Error after ten seconds */
export async function until(machine: QemuMachine, condition: () => boolean, what = "it"): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen in 10 s`);
    await machine.idle(10);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Waits until frames pass. QEMU drops them without a word until its main loop has taken notice of the stream's
 * connection, which the peer sees before. @throws Error when none passes
 */
export async function untilFramesPass(
  machine: QemuMachine,
  driver: VirtioNetDriver,
  { frames }: StreamPeer,
): Promise<void> {
  const isThere = (probe: number) => frames.at(-1)?.[0] === probe;
  for (let probe = 1; ; probe++) {
    if (probe > 200) throw new Error("no frame passes");
    await driver.send(new Uint8Array(60).fill(probe));
    for (let turn = 0; turn < 10 && !isThere(probe); turn++) {
      await machine.idle(10);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (isThere(probe)) break;
  }
  frames.length = 0;
}
