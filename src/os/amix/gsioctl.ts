/** `gsioctl`: programs send their own SCSI commands through /dev/scsi (major 11). */
import { blockBytes, type DmaBlock, type DmaMemory } from "../../memory/index.js";
import { Errno } from "./errno.js";
import type { AmixProfile } from "./profile.js";
import type { SdRegistry } from "./sd.js";
import { SdCom, sdcomLayout } from "./sdcom.js";

/** `GSIO`: the one command that the device knows. */
export const gsioCommand = 0x4753_494f;

/** A program's memory, as the kernel copies from it and to it. */
export interface UserMemory {
  /** Undefined when the pointer leads nowhere. */
  copyIn(address: number, length: number): Uint8Array | undefined;
  /** False when the pointer leads nowhere. */
  copyOut(address: number, bytes: Uint8Array): boolean;
}

/** What the device is given of the kernel. */
export interface PassThroughParts {
  readonly sd: SdRegistry;
  readonly dma: DmaMemory;
  readonly profile: AmixProfile;
}

/** The device. Its command and buffer are static: callers take turns. */
export class PassThrough {
  readonly #parts: PassThroughParts;
  readonly #command = new SdCom();
  readonly #buffer: DmaBlock;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: PassThroughParts) {
    this.#parts = parts;
    this.#buffer = parts.dma.allocate(parts.profile.passThroughLimit, 512);
  }

  /**
   * `ioctl(fd, command, arg)` with `arg` a program's `sdcom`. Answers 0 also when the command failed: `okay` tells.
   */
  ioctl(command: number, user: UserMemory, arg: number): Promise<number> {
    const turn = this.#turn.then(() => this.#run(command, user, arg));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** Gives the memory back. */
  close(): void {
    this.#parts.dma.free(this.#buffer);
  }

  async #run(number: number, user: UserMemory, arg: number): Promise<number> {
    if (number !== gsioCommand) return Errno.Invalid;
    const block = user.copyIn(arg, sdcomLayout.size)?.slice();
    if (block === undefined) return Errno.Fault;
    const view = new DataView(block.buffer);
    const { addr, nbyte, card, unit, reading, cdb } = sdcomLayout.read(view, 0, "big");
    const { sd, profile } = this.#parts;
    const failure = sd.open(card);
    if (failure !== Errno.None) return failure;
    if (nbyte % 4 !== 0 || nbyte > profile.passThroughLimit) return Errno.Invalid;
    const bytes = blockBytes(this.#buffer);
    if (reading === 0 && nbyte > 0) {
      const data = user.copyIn(addr, nbyte);
      if (data === undefined) return Errno.Fault;
      bytes.set(data);
    }
    const command = this.#command;
    command.aim(card, unit, reading !== 0, this.#buffer.address, nbyte);
    command.cdb.set(cdb);
    await new Promise<void>((resolve) => {
      command.intr = () => resolve();
      sd.queue(command);
    });
    const { okay, status } = command;
    if (okay && reading !== 0 && nbyte > 0 && !user.copyOut(addr, bytes.subarray(0, nbyte))) return Errno.Fault;
    sdcomLayout.write(view, 0, "big", { okay: okay ? 1 : 0, status });
    return user.copyOut(arg, block) ? Errno.None : Errno.Fault;
  }
}
