/**
 * The crash-dump stack: the miniport, loaded a second time over a device that a crashed kernel left as it was. Interrupts
 * are off, the interrupt routine is polled, one request is under way at a time, and nothing is allocated meanwhile.
 */
import { DeviceError, UnsupportedError } from "../../errors/index.js";
import { blockBytes, type DmaBlock } from "../../memory/index.js";
import type { Observer } from "../../observe/index.js";
import { cdb } from "../../scsi/index.js";
import { type AdapterExtension, newAdapterExtension } from "./adapter-extension.js";
import { type Behaviour, rightBehaviour } from "./behaviour.js";
import { blocksOf } from "./block-config.js";
import { virtIoBuildIo } from "./build-io.js";
import { DebugPrint } from "./debug-print.js";
import { virtIoFindAdapter } from "./find-adapter.js";
import { virtIoHwInitialize } from "./hw-initialize.js";
import { virtIoInterrupt } from "./interrupt.js";
import { PortInterrupts } from "./port-interrupts.js";
import type { StorportProfile } from "./profile.js";
import { rhelShutDown } from "./reset.js";
import { Srb, SrbFlags, SrbFunction, SrbStatus, srbStatusName } from "./srb.js";
import { SrbExtension } from "./srb-extension.js";
import { virtIoStartIo } from "./start-io.js";
import type { StorportAdapter, StorportMachine } from "./storport-machine.js";

/** How the dump stack is loaded. */
export interface CrashDumpOptions {
  readonly profile: StorportProfile;
  readonly behaviour?: Behaviour | undefined;
  readonly debug?: DebugPrint | undefined;
  readonly observer?: Observer | undefined;
  /** Milliseconds that a request may take. Default 10 000. */
  readonly timeout?: number | undefined;
}

/** DDI: what a boot driver may use of a dump's memory for a request. */
const dumpBuffer = 32 * 1024;
/** Polls before others in this process get a turn: a device half here may need one. */
const pollsPerTurn = 1000;

/** A dump in progress. */
export class CrashDump {
  readonly extension: AdapterExtension;
  /** Polls of the interrupt routine so far. */
  polls = 0;
  readonly #machine: StorportMachine;
  readonly #blocks: DmaBlock[] = [];
  readonly #timeout: number;
  #buffer!: DmaBlock;
  #srb!: Srb;
  #isDone = false;

  private constructor(machine: StorportMachine, { fn }: StorportAdapter, options: CrashDumpOptions) {
    this.#machine = machine;
    this.#timeout = options.timeout ?? 10_000;
    const { profile, behaviour = rightBehaviour, debug = new DebugPrint() } = options;
    const nothing = () => {};
    this.extension = newAdapterExtension({
      profile,
      behaviour,
      debug,
      dumpMode: true,
      port: {
        fn,
        memory: machine.memory,
        dma: machine.dma,
        registers: { endianness: machine.board.endianness, messagesOn: () => false },
        observer: options.observer,
        processors: 1,
        resetTimeout: 5000,
        unwanted: 0n,
        getUncachedExtension: (size) => this.#allocate(size, 4096),
        deviceFailed: nothing,
        messageCount: () => 0,
        requestComplete: () => {
          this.#isDone = true;
        },
        busy: nothing,
        nextRequest: nothing,
        setQueueDepth: nothing,
        busChangeDetected: nothing,
      },
    });
  }

  /**
   * Turns the function's interrupts off and loads the miniport in dump mode. Whoever had the device before is dead: its
   * driver must not be used any more.
   * @throws UnsupportedError, DeviceError, ProtocolError
   */
  static async open(machine: StorportMachine, adapter: StorportAdapter, options: CrashDumpOptions): Promise<CrashDump> {
    const dump = new CrashDump(machine, adapter, options);
    const { extension } = dump;
    new PortInterrupts(machine, adapter.fn, { line: () => {}, message: () => {} }).silence();
    const found = await virtIoFindAdapter(extension);
    if (found !== "found") throw new UnsupportedError(`${adapter.fn.place}: no adapter for a dump (${found})`);
    if (!virtIoHwInitialize(extension)) throw new DeviceError("the adapter cannot be initialised for a dump");
    dump.#buffer = dump.#allocate(dumpBuffer, 4096);
    const endianness = extension.deviceBase?.endianness ?? "little";
    dump.#srb = new Srb(new SrbExtension(dump.#allocate(SrbExtension.size, 16), endianness));
    return dump;
  }

  /** Blocks of the disk. */
  get blocks(): number {
    return blocksOf(this.extension.info);
  }

  /** Bytes of a block. */
  get blockSize(): number {
    return this.extension.info.blockSize;
  }

  /** Writes `bytes`, a whole number of blocks, from block `lba` on. @throws DeviceError, RangeError */
  async write(lba: number, bytes: Uint8Array): Promise<void> {
    const { blockSize } = this;
    if (bytes.length % blockSize !== 0) throw new RangeError(`${bytes.length} bytes are no whole number of blocks`);
    const limit = this.extension.configuration?.maximumTransferLength ?? blockSize;
    const most = Math.max(blockSize, Math.min(limit, dumpBuffer) - (Math.min(limit, dumpBuffer) % blockSize));
    const target = blockBytes(this.#buffer);
    for (let done = 0; done < bytes.length; done += most) {
      const length = Math.min(most, bytes.length - done);
      target.set(bytes.subarray(done, done + length));
      await this.#send(cdb.write(lba + done / blockSize, length / blockSize), length);
    }
  }

  /** Makes the dump durable. @throws DeviceError */
  flush(): Promise<void> {
    return this.#send(cdb.synchronizeCache10(), 0);
  }

  /** Resets the device and gives the memory back. */
  async close(): Promise<void> {
    if (await rhelShutDown(this.extension)) for (const block of this.#blocks.splice(0)) this.#machine.dma.free(block);
  }

  async #send(command: Uint8Array, length: number): Promise<void> {
    const { extension } = this;
    const srb = this.#srb;
    srb.clear();
    srb.function = SrbFunction.ExecuteScsi;
    srb.setCdb(command);
    srb.flags = SrbFlags.DataOut;
    srb.dataLength = length;
    if (length > 0) srb.addSegment(this.#buffer.address, length);
    this.#isDone = false;
    if (!extension.profile.buildIo || virtIoBuildIo(extension, srb)) virtIoStartIo(extension, srb);
    const deadline = performance.now() + this.#timeout;
    for (let poll = 1; !this.#isDone; poll++) {
      this.polls++;
      virtIoInterrupt(extension);
      if (this.#isDone || poll % pollsPerTurn !== 0) continue;
      if (performance.now() >= deadline) throw new DeviceError(`the dump's request did not end in ${this.#timeout} ms`);
      await new Promise<void>((resolve) => setTimeout(resolve, 0));
    }
    if ((srb.status & 0x3f) === SrbStatus.Success) return;
    throw new DeviceError(`the dump's request failed: ${srbStatusName(srb.status)}`);
  }

  #allocate(size: number, alignment: number): DmaBlock {
    const block = this.#machine.dma.allocate(size, alignment);
    this.#blocks.push(block);
    return block;
  }
}
