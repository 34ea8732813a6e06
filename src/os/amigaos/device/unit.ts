/** What command handlers see of the device and of a unit. */
import type { ExecMemory } from "../exec/index.js";
import type { AmigaProfile } from "../profile.js";
import type { CommandTable, UnitRequest } from "./command-entry.js";

/** The device as handlers see it. */
export interface DeviceAccess {
  readonly name: string;
  readonly profile: AmigaProfile;
  readonly commands: CommandTable;
  readonly memory: ExecMemory;
  /** Where the list for NSCMD_DEVICEQUERY is: `placeCommandList` of `commands/` puts it there when the device starts. */
  readonly commandList: number;
  /** Unit 0, which change requests of all units once went to (B6). */
  readonly firstUnit: UnitAccess | undefined;
  /** A line for whoever listens (Amiga's debug console). */
  debug(text: string): void;
}

/** A command for the synchronous path. */
export interface CdbCommand {
  /** At most 32 bytes; the rest is zero. */
  readonly cdb: Uint8Array;
  /** Data in a program's memory; length 0 for none. */
  readonly data?: { readonly address: number; readonly length: number; readonly isWrite: boolean } | undefined;
}

/** How a command of the synchronous path ended. */
export interface CdbOutcome {
  /** What went wrong before or instead of an answer: -7 (no answer), 41 (DMA), 20 (ring). 0: the fields below are valid. */
  readonly pathError: number;
  /** virtio-scsi response code. */
  readonly response: number;
  /** SCSI status. */
  readonly status: number;
  /** As many bytes as the device says; empty for none. Its own copy. */
  readonly sense: Uint8Array;
  /** Bytes that were moved: 0…length. */
  readonly actual: number;
}

/** What READ CAPACITY said. */
export interface Capacity {
  readonly blockSize: number;
  /** Blocks: last LBA + 1. */
  readonly blocks: number;
}

/** A unit as handlers see it: it was discovered; it may be closed. */
export interface UnitAccess {
  readonly device: DeviceAccess;
  readonly profile: AmigaProfile;
  readonly memory: ExecMemory;
  /** Number to open it by; not the SCSI id. */
  readonly number: number;
  readonly controller: number;
  readonly target: number;
  readonly lun: number;
  /** Peripheral device type: 0 disk, 5 CD. */
  readonly peripheralType: number;
  readonly isOpen: boolean;
  /** Bytes of a block. 512 until somebody knows better. Handlers that read the capacity set both. */
  blockSize: number;
  /** Undefined until it was asked for, and after a media event. */
  capacity: Capacity | undefined;
  /** Times that the medium changed. */
  changeCount: number;
  isMediumPresent: boolean;
  /** Requests that wait for a change; one of each in version 1.5, all of them otherwise. */
  readonly heldChangeInterrupts: UnitRequest[];
  readonly heldRemoves: UnitRequest[];
  /** What the device says of its commands; large values where it says nothing. */
  readonly limits: { readonly segments: number; readonly bytes: number };
  /** The synchronous path: sends a command, repeats it as the profile says, waits for its end. Unit task only. */
  sendCdb(command: CdbCommand): Promise<CdbOutcome>;
  /** Memory of the unit's own for answers, at least 4096 bytes in one piece; valid while a handler runs. */
  readonly scratch: number;
  /** Resolves when every transfer that was started before has ended. */
  drained(): Promise<void>;
  /** Answers a request with the error that is in it. */
  reply(request: UnitRequest): void;
}
