/**
 * What a hostile or sloppy driver sends to a virtio-scsi device: requests that are mostly plausible, so that they get
 * far, with random commands, addresses and lengths.
 */
import type { Endianness } from "../bytes/index.js";
import { type CommandDefinition, Commands, type FieldPlace } from "../scsi/index.js";
import { asyncRequest, ControlType, requestHeader, responseHeader, taskManagementRequest } from "../virtio/index.js";
import type { SeededRandom } from "./seeded-random.js";

/** The content of one chain: bytes for the device, and room for its answer. */
export interface HostileContent {
  readonly readable: Uint8Array;
  /** Bytes that the device may write. */
  readonly writable: number;
}

const definitions: readonly CommandDefinition[] = Object.values(Commands);

/** A random number with a random size, so that small ones are as likely as large ones. */
export function anyNumber(random: SeededRandom, bits = 32): number {
  return Math.floor(2 ** random.below(bits + 1) - random.below(2));
}

/** Random bytes. */
export function anyBytes(random: SeededRandom, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = random.below(256);
  return bytes;
}

/**
 * A CDB: mostly a command that exists, with fields that mostly make sense for a disk of `blocks` blocks.
 */
export function hostileCdb(random: SeededRandom, blocks: number): Uint8Array {
  if (random.chance(0.05)) return anyBytes(random, 1 + random.below(32));
  const definition = definitions[random.below(definitions.length)];
  const cdb = new Uint8Array(definition.cdbLength);
  const { lba, blocks: count, length, bits = {}, zero = {}, opcode, serviceAction } = definition;
  putField(cdb, lba, random.chance(0.9) ? random.below(blocks) : anyNumber(random, 48));
  putField(cdb, count, random.chance(0.9) ? random.below(9) : anyNumber(random));
  putField(cdb, length, random.chance(0.9) ? random.below(257) : anyNumber(random));
  for (const [at, mask] of Object.values(bits)) if (random.chance(0.2)) cdb[at] |= random.below(256) & mask;
  for (const [at, mask] of Object.values(zero)) if (random.chance(0.03)) cdb[at] |= random.below(256) & mask;
  cdb[0] = opcode;
  if (serviceAction !== undefined) {
    if (opcode === 0x7f) cdb.set([serviceAction >>> 8, serviceAction & 0xff], 8);
    else cdb[1] = (cdb[1] & 0xe0) | serviceAction;
  }
  if (random.chance(0.05)) cdb[random.below(cdb.length)] = random.below(256);
  return cdb;
}

/** `lun[8]`: mostly target 0, LUN 0, in all forms; sometimes other units, forms that do not exist, or noise. */
export function hostileLun(random: SeededRandom): Uint8Array {
  const lun = new Uint8Array(8);
  lun[0] = 1;
  if (random.chance(0.5)) lun[2] = 0x40;
  if (random.chance(0.9)) return lun;
  lun[1] = random.chance(0.5) ? 0 : random.below(256);
  lun[2] = [0x00, 0x40, 0x7f, 0x80, 0xc1, 0xff][random.below(6)];
  lun[3] = random.below(3);
  if (random.chance(0.3)) lun[random.below(8)] = random.below(256);
  return lun;
}

/** A request for a request queue. */
export function hostileRequest(
  random: SeededRandom,
  options: { endianness: Endianness; blocks: number; cdbSize?: number; senseSize?: number },
): HostileContent {
  const { endianness, blocks, cdbSize = 32, senseSize = 96 } = options;
  const cdb = hostileCdb(random, blocks);
  const length = random.chance(0.1) ? random.below(5000) : 512 * random.below(9);
  const isOut = random.chance(0.4);
  const isIn = isOut ? random.chance(0.1) : true;
  const readable = new Uint8Array(requestHeader.size + cdbSize + (isOut ? length : 0));
  requestHeader.write(new DataView(readable.buffer), 0, endianness, {
    lun: hostileLun(random),
    id: BigInt(anyNumber(random)),
    taskAttribute: random.chance(0.9) ? 0 : random.below(256),
  });
  readable.set(cdb.subarray(0, cdbSize), requestHeader.size);
  const whole = { readable, writable: responseHeader.size + senseSize + (isIn ? length : 0) };
  if (random.chance(0.97)) return whole;
  // Headers that are cut.
  return random.chance(0.5)
    ? { readable: readable.subarray(0, random.below(51)), writable: whole.writable }
    : { readable, writable: random.below(responseHeader.size + senseSize) };
}

/** A request for the control queue: task management, asynchronous notifications, and types that do not exist. */
export function hostileControlRequest(random: SeededRandom, endianness: Endianness): HostileContent {
  const isTask = random.chance(0.6);
  const readable = new Uint8Array(isTask ? taskManagementRequest.size : asyncRequest.size);
  const view = new DataView(readable.buffer);
  const lun = hostileLun(random);
  if (isTask) {
    const subtype = random.chance(0.95) ? random.below(8) : anyNumber(random);
    const id = BigInt(anyNumber(random));
    taskManagementRequest.write(view, 0, endianness, { type: ControlType.TaskManagement, subtype, lun, id });
  } else {
    const type = random.chance(0.9) ? 1 + random.below(2) : anyNumber(random);
    asyncRequest.write(view, 0, endianness, { type, lun, eventRequested: anyNumber(random) });
  }
  const room = isTask ? 1 : 5;
  if (random.chance(0.95)) return { readable, writable: room + random.below(3) };
  return { readable: readable.subarray(0, random.below(readable.length)), writable: random.below(room) };
}

/** A buffer for the event queue: mostly 16 bytes or more, writable only. */
export function hostileEventBuffer(random: SeededRandom): HostileContent {
  return {
    readable: random.chance(0.95) ? new Uint8Array(0) : anyBytes(random, 4),
    writable: random.chance(0.8) ? 16 + random.below(16) : random.below(16),
  };
}

function putField(cdb: Uint8Array, place: FieldPlace | undefined, value: number): void {
  if (place === undefined) return;
  let left = value;
  for (let at = place[0] + place[1] - 1; at >= place[0]; at--) {
    cdb[at] = left % 256;
    left = Math.floor(left / 256);
  }
}
