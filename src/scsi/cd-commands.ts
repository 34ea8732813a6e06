/** The commands of a CD or DVD drive that only reads (MMC-5 §6). */

import { isOutOfRange, type Place, place10, place12 } from "./block-range.js";
import { buildCapacity10 } from "./capacity.js";
import type { CdDrive } from "./cd.js";
import { buildConfiguration } from "./cd-features.js";
import { buildToc } from "./cd-toc.js";
import { reply } from "./check-condition.js";
import type { CommandEntry } from "./command-set.js";
import { Commands } from "./command-table.js";
import { modeSenseEntries } from "./mode-commands.js";
import { primaryEntries } from "./primary-commands.js";
import { reportOpcodesEntry } from "./report-opcodes.js";
import { Conditions } from "./sense-codes.js";
import type { ScsiTask } from "./task.js";

const blockSize = 2048;
const mediaClass = 4;

/** Whether there is no medium; the task is refused then. */
function isEmpty(drive: CdDrive, task: ScsiTask): boolean {
  const hindrance = drive.notReady();
  if (hindrance !== undefined) drive.fail(task, hindrance);
  return hindrance !== undefined;
}

function readEntry(definition: CommandEntry<CdDrive>["definition"], place: Place): CommandEntry<CdDrive> {
  return {
    definition,
    prepare(_drive, task) {
      place(task);
      task.expectedIn = task.blocks * blockSize;
    },
    execute(drive, task) {
      const { medium } = drive;
      if (isEmpty(drive, task) || isOutOfRange(drive, task, drive.maximumTransferBlocks)) return undefined;
      const room = task.dataIn.byteLength;
      const length = room >= task.expectedIn ? task.expectedIn : room - (room % blockSize);
      if (length === 0 || medium === undefined) return undefined;
      const answer = medium.read(task.lba * blockSize, task.dataIn, length);
      if (answer === undefined) {
        task.transferredIn = length;
        return undefined;
      }
      return answer.then(() => {
        task.transferredIn = length;
      });
    },
  };
}

const readCapacityEntry: CommandEntry<CdDrive> = {
  definition: Commands.readCapacity10,
  prepare(_drive, task) {
    task.expectedIn = 8;
  },
  execute(drive, task) {
    if (!isEmpty(drive, task)) reply(task, buildCapacity10({ blocks: drive.blocks, blockSize }));
    return undefined;
  },
};

const readTocEntry: CommandEntry<CdDrive> = {
  definition: Commands.readToc,
  execute(drive, task) {
    if (isEmpty(drive, task)) return undefined;
    const { cdb } = task;
    // SFF-8020 had the format in the control byte, and systems still send it there.
    const format = cdb[2] & 0x0f || cdb[9] >>> 6;
    const toc = buildToc(drive.blocks, format, cdb[6], (cdb[1] & 2) !== 0);
    if (toc === "format") drive.invalidField(task, 2, 3);
    else if (toc === "track") drive.invalidField(task, 6);
    else reply(task, toc);
    return undefined;
  },
};

const getConfigurationEntry: CommandEntry<CdDrive> = {
  definition: Commands.getConfiguration,
  passesAttention: true,
  execute(drive, task) {
    const { cdb } = task;
    const type = cdb[1] & 3;
    if (type === 3) drive.invalidField(task, 1, 1);
    else reply(task, buildConfiguration(drive, type, (cdb[2] << 8) | cdb[3]));
    return undefined;
  },
};

/** GET EVENT STATUS NOTIFICATION: polled, media events only. */
const getEventStatusEntry: CommandEntry<CdDrive> = {
  definition: Commands.getEventStatus,
  passesAttention: true,
  execute(drive, task) {
    const { cdb } = task;
    if ((cdb[1] & 1) === 0) {
      drive.invalidField(task, 1, 0);
      return undefined;
    }
    const supported = 1 << mediaClass;
    if ((cdb[4] & supported) === 0) reply(task, Uint8Array.of(0, 0, 0x80, supported));
    else {
      const status = (drive.isTrayOpen ? 1 : 0) | (drive.medium === undefined ? 0 : 2);
      // An event is heard only when it fits into what the initiator takes.
      const event = task.expectedIn >= 5 ? drive.events.take(task.nexus) : 0;
      reply(task, Uint8Array.of(0, 4, mediaClass, supported, event, status, 0, 0));
    }
    return undefined;
  },
};

const readDiscInformationEntry: CommandEntry<CdDrive> = {
  definition: Commands.readDiscInformation,
  execute(drive, task) {
    if (isEmpty(drive, task)) return undefined;
    if ((task.cdb[1] & 7) !== 0) {
      drive.invalidField(task, 1, 2);
      return undefined;
    }
    const data = new Uint8Array(34);
    // A finished disc of one session with one track, for any use.
    data.set([0, data.length - 2, 0x0e, 1, 1, 1, 1, 0x20]);
    reply(task, data);
    return undefined;
  },
};

const mechanismStatusEntry: CommandEntry<CdDrive> = {
  definition: Commands.mechanismStatus,
  execute(drive, task) {
    reply(task, Uint8Array.of(0, drive.isTrayOpen ? 0x10 : 0, 0, 0, 0, 1, 0, 0));
    return undefined;
  },
};

/** START STOP UNIT: LOEJ opens the tray or, with START, closes it. */
const startStopEntry: CommandEntry<CdDrive> = {
  definition: Commands.startStopUnit,
  execute(drive, task) {
    const byte = task.cdb[4];
    const loads = (byte & 0x01) !== 0;
    if (byte >>> 4 !== 0) drive.invalidField(task, 4, 7);
    else if ((byte & 0x02) === 0) {
      if (loads) isEmpty(drive, task);
    } else if (loads) drive.closeTray();
    else if (drive.isLocked) drive.fail(task, Conditions.removalPrevented);
    else drive.openTray();
    return undefined;
  },
};

const preventAllowEntry: CommandEntry<CdDrive> = {
  definition: Commands.preventAllow,
  execute(drive, task) {
    // Persistent prevention is for drives with a button to press.
    if ((task.cdb[4] & 0x02) !== 0) drive.invalidField(task, 4, 1);
    else drive.lock(task.nexus, (task.cdb[4] & 1) !== 0);
    return undefined;
  },
};

const seekEntry: CommandEntry<CdDrive> = {
  definition: Commands.seek10,
  prepare: (_drive, task) => {
    place10(task);
    task.blocks = 0;
  },
  execute(drive, task) {
    if (!isEmpty(drive, task) && task.lba >= drive.blocks) drive.fail(task, Conditions.lbaOutOfRange);
    return undefined;
  },
};

/** All of them. */
export const cdEntries: readonly CommandEntry<CdDrive>[] = [
  ...primaryEntries,
  reportOpcodesEntry,
  ...(modeSenseEntries as unknown as readonly CommandEntry<CdDrive>[]),
  readEntry(Commands.read10, place10),
  readEntry(Commands.read12, place12),
  readCapacityEntry,
  readTocEntry,
  getConfigurationEntry,
  getEventStatusEntry,
  readDiscInformationEntry,
  mechanismStatusEntry,
  startStopEntry,
  preventAllowEntry,
  seekEntry,
];
