/** What becomes of a command of HD_SCSICMD (6.1 and 6.3 of the reference): sent on, answered here, or refused. Pure. */
import type { CommandBehaviour } from "./behaviour.js";
import {
  ataCommandOf,
  ataSmart,
  logPage,
  logSenseFields,
  smartData,
  smartDataLength,
  vpdPage,
} from "./local-answers.js";

/** A command as the rules see it. */
export interface ScsiQuestion {
  readonly cdb: Uint8Array;
  /** Bytes at scsi_Data; 0 where that is NULL. */
  readonly room: number;
  readonly target: number;
  readonly lun: number;
  /** scsi_Flags say that data come from the device. */
  readonly reads: boolean;
}

/** Additional sense of a refusal: ILLEGAL REQUEST with this. */
export interface Refusal {
  readonly asc: number;
  readonly ascq: number;
}

/** What is done with it. */
export type ScsiVerdict =
  /** Sent to the device. Bytes of the buffer that go along, and which way. */
  | { readonly kind: "forward"; readonly length: number; readonly isWrite: boolean }
  /** GOOD with these data. */
  | { readonly kind: "answer"; readonly data: Uint8Array; readonly tellsLength: boolean }
  /** CHECK CONDITION; without sense where the original gives none. */
  | { readonly kind: "refuse"; readonly sense: Refusal | undefined };

const invalidOpcode: Refusal = { asc: 0x20, ascq: 0 };
const invalidField: Refusal = { asc: 0x24, ascq: 0 };
const refuseBare: ScsiVerdict = { kind: "refuse", sense: undefined };

const opcodes = {
  testUnitReady: 0x00,
  inquiry: 0x12,
  capacity: 0x25,
  read: 0x28,
  write: 0x2a,
  logSense: 0x4d,
} as const;
const ataPassThrough: readonly number[] = [0x85, 0xa1];

/** Where a command goes first. */
export function judgeScsi(question: ScsiQuestion, behaviour: CommandBehaviour): ScsiVerdict {
  const { room, reads } = question;
  const ours = behaviour.localAnswers === "always" ? answerHere(question, behaviour) : undefined;
  if (ours !== undefined) return ours;
  if (behaviour.opcodes === "all") return { kind: "forward", length: room, isWrite: !reads };
  switch (question.cdb[0]) {
    case opcodes.testUnitReady:
      return { kind: "forward", length: 0, isWrite: false };
    case opcodes.inquiry:
      return room < 5 ? refuseBare : { kind: "forward", length: room, isWrite: false };
    case opcodes.capacity:
      return room < 8 ? refuseBare : { kind: "forward", length: room, isWrite: false };
    case opcodes.read:
      return { kind: "forward", length: room, isWrite: false };
    case opcodes.write:
      return { kind: "forward", length: room, isWrite: true };
    default:
      return { kind: "refuse", sense: invalidOpcode };
  }
}

/** The answer that there is without the device; undefined for commands that have none. */
export function answerHere(question: ScsiQuestion, behaviour: CommandBehaviour): ScsiVerdict | undefined {
  const { cdb } = question;
  if (cdb[0] === opcodes.inquiry && (cdb[1] & 1) !== 0) return answerVpd(question, behaviour);
  if (cdb[0] === opcodes.logSense) return answerLog(question);
  if (ataPassThrough.includes(cdb[0]) && behaviour.ataPassThrough === "answered") return answerAta(question, behaviour);
  return undefined;
}

function answerVpd({ cdb, room, target, lun }: ScsiQuestion, behaviour: CommandBehaviour): ScsiVerdict {
  const data = vpdPage(cdb[2] ?? 0, target, behaviour.identifiers === "target" ? undefined : lun);
  if (data === undefined) return { kind: "refuse", sense: invalidField };
  if (behaviour.shortRoom === "refused") {
    return room < data.length ? refuseBare : { kind: "answer", data, tellsLength: true };
  }
  const allocation = (cdb[3] ?? 0) * 256 + (cdb[4] ?? 0);
  return { kind: "answer", data: data.subarray(0, Math.min(room, allocation)), tellsLength: true };
}

function answerLog({ cdb, room }: ScsiQuestion): ScsiVerdict {
  const { page, allocation } = logSenseFields(cdb);
  if (room === 0 || allocation === 0) return { kind: "answer", data: new Uint8Array(), tellsLength: false };
  const data = logPage(page);
  if (data === undefined) return refuseBare;
  // The original looks at the allocation only and writes behind a shorter buffer; nobody gains by that.
  return { kind: "answer", data: data.subarray(0, Math.min(allocation, room)), tellsLength: false };
}

function answerAta({ cdb, room }: ScsiQuestion, behaviour: CommandBehaviour): ScsiVerdict {
  if (ataCommandOf(cdb) !== ataSmart || room < smartDataLength) return refuseBare;
  return { kind: "answer", data: smartData(behaviour.smartChecksum === "computed"), tellsLength: false };
}
