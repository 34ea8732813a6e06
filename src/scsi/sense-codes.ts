/** Sense keys and additional sense codes with their words (SPC-4 §4.5.6 and annex D), and the conditions units here report. */

/** SPC-4 table 47, sense keys. */
export const SenseKey = {
  NoSense: 0x0,
  RecoveredError: 0x1,
  NotReady: 0x2,
  MediumError: 0x3,
  HardwareError: 0x4,
  IllegalRequest: 0x5,
  UnitAttention: 0x6,
  DataProtect: 0x7,
  BlankCheck: 0x8,
  VendorSpecific: 0x9,
  CopyAborted: 0xa,
  AbortedCommand: 0xb,
  VolumeOverflow: 0xd,
  Miscompare: 0xe,
  Completed: 0xf,
} as const;

const keyNames: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(SenseKey).map(([name, key]) => [key, name.replace(/(?<=[a-z])(?=[A-Z])/g, " ").toUpperCase()]),
);

/** `ILLEGAL REQUEST` and so on. */
export function senseKeyName(key: number): string {
  return keyNames[key] ?? `sense key ${key.toString(16)}h`;
}

/** What went wrong: a sense key with an additional sense code. */
export interface SenseCondition {
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
}

function condition(key: number, asc: number, ascq: number): SenseCondition {
  return { key, asc, ascq };
}

/** The conditions that units here report. */
export const Conditions = {
  noSense: condition(SenseKey.NoSense, 0x00, 0x00),
  unrecoveredRead: condition(SenseKey.MediumError, 0x11, 0x00),
  writeError: condition(SenseKey.MediumError, 0x0c, 0x00),
  internalFailure: condition(SenseKey.HardwareError, 0x44, 0x00),
  miscompare: condition(SenseKey.Miscompare, 0x1d, 0x00),
  mediumNotPresentTrayClosed: condition(SenseKey.NotReady, 0x3a, 0x01),
  mediumNotPresentTrayOpen: condition(SenseKey.NotReady, 0x3a, 0x02),
  invalidFieldInCommandUnit: condition(SenseKey.IllegalRequest, 0x0e, 0x03),
  parameterListLength: condition(SenseKey.IllegalRequest, 0x1a, 0x00),
  invalidOperationCode: condition(SenseKey.IllegalRequest, 0x20, 0x00),
  lbaOutOfRange: condition(SenseKey.IllegalRequest, 0x21, 0x00),
  invalidFieldInCdb: condition(SenseKey.IllegalRequest, 0x24, 0x00),
  unitNotSupported: condition(SenseKey.IllegalRequest, 0x25, 0x00),
  invalidFieldInParameterList: condition(SenseKey.IllegalRequest, 0x26, 0x00),
  invalidRelease: condition(SenseKey.IllegalRequest, 0x26, 0x04),
  savingNotSupported: condition(SenseKey.IllegalRequest, 0x39, 0x00),
  removalPrevented: condition(SenseKey.IllegalRequest, 0x53, 0x02),
  insufficientRegistrationResources: condition(SenseKey.IllegalRequest, 0x55, 0x04),
  writeProtected: condition(SenseKey.DataProtect, 0x27, 0x00),
  softwareWriteProtected: condition(SenseKey.DataProtect, 0x27, 0x02),
  spaceAllocationFailed: condition(SenseKey.DataProtect, 0x27, 0x07),
} as const satisfies Record<string, SenseCondition>;

/** Unit attentions that units and targets here queue. */
export const Attentions = {
  powerOn: { asc: 0x29, ascq: 0x00 },
  busReset: { asc: 0x29, ascq: 0x02 },
  unitReset: { asc: 0x29, ascq: 0x03 },
  nexusLoss: { asc: 0x29, ascq: 0x07 },
  mediumChanged: { asc: 0x28, ascq: 0x00 },
  modeParametersChanged: { asc: 0x2a, ascq: 0x01 },
  reservationsPreempted: { asc: 0x2a, ascq: 0x03 },
  reservationsReleased: { asc: 0x2a, ascq: 0x04 },
  registrationsPreempted: { asc: 0x2a, ascq: 0x05 },
  capacityChanged: { asc: 0x2a, ascq: 0x09 },
  /** OPERATOR REQUEST OR STATE CHANGE INPUT, MEDIUM REMOVAL REQUEST */
  operatorRequest: { asc: 0x5a, ascq: 0x01 },
  reportedLunsChanged: { asc: 0x3f, ascq: 0x0e },
} as const;

/** Additional sense code and qualifier as one number, with their words. */
const additionalSense: Readonly<Record<number, string>> = {
  0: "no additional sense information",
  6: "I/O process terminated",
  1024: "logical unit not ready, cause not reportable",
  1025: "logical unit is in process of becoming ready",
  1026: "logical unit not ready, initializing command required",
  1027: "logical unit not ready, manual intervention required",
  1028: "logical unit not ready, format in progress",
  1051: "logical unit not ready, sanitize in progress",
  2048: "logical unit communication failure",
  2049: "logical unit communication time-out",
  2817: "warning, specified temperature exceeded",
  3072: "write error",
  3074: "write error, auto reallocation failed",
  3085: "write error, not enough unsolicited data",
  3330: "copy target device not reachable",
  3587: "invalid field in command information unit",
  4096: "ID CRC or ECC error",
  4097: "logical block guard check failed",
  4098: "logical block application tag check failed",
  4099: "logical block reference tag check failed",
  4352: "unrecovered read error",
  4353: "read retries exhausted",
  5120: "recorded entity not found",
  5888: "recovered data with no error correction applied",
  6144: "recovered data with error correction applied",
  6656: "parameter list length error",
  7424: "miscompare during verify operation",
  8192: "invalid command operation code",
  8448: "logical block address out of range",
  9216: "invalid field in CDB",
  9472: "logical unit not supported",
  9728: "invalid field in parameter list",
  9729: "parameter not supported",
  9730: "parameter value invalid",
  9732: "invalid release of persistent reservation",
  9734: "too many target descriptors",
  9735: "unsupported target descriptor type code",
  9736: "too many segment descriptors",
  9737: "unsupported segment descriptor type code",
  9984: "write protected",
  9985: "hardware write protected",
  9986: "logical unit software write protected",
  9991: "space allocation failed write protect",
  10240: "not ready to ready change, medium may have changed",
  10496: "power on, reset, or bus device reset occurred",
  10497: "power on occurred",
  10498: "SCSI bus reset occurred",
  10499: "bus device reset function occurred",
  10500: "device internal reset",
  10503: "I_T nexus loss occurred",
  10752: "parameters changed",
  10753: "mode parameters changed",
  10755: "reservations preempted",
  10756: "reservations released",
  10757: "registrations preempted",
  10761: "capacity data has changed",
  11264: "command sequence error",
  12032: "commands cleared by another initiator",
  12288: "incompatible medium installed",
  12544: "medium format corrupted",
  14080: "rounded parameter",
  14592: "saving parameters not supported",
  14848: "medium not present",
  14849: "medium not present, tray closed",
  14850: "medium not present, tray open",
  15872: "logical unit has not self-configured yet",
  15873: "logical unit failure",
  16129: "microcode has been changed",
  16131: "inquiry data has changed",
  16142: "reported LUNs data has changed",
  17152: "message error",
  17408: "internal target failure",
  17664: "select or reselect failure",
  18176: "SCSI parity error",
  18432: "initiator detected error message received",
  18688: "invalid message error",
  19200: "data phase error",
  19968: "overlapped commands attempted",
  21250: "medium removal prevented",
  21764: "insufficient registration resources",
  23040: "operator request or state change input",
  23041: "operator medium removal request",
  23808: "failure prediction threshold exceeded",
  25344: "end of user area encountered on this track",
  25600: "illegal mode for this track",
};

/** The words for an additional sense code, or its numbers when it is not in the table. */
export function additionalSenseText(asc: number, ascq: number): string {
  const known = additionalSense[asc * 256 + ascq];
  if (known !== undefined) return known;
  const kind = asc >= 0x80 || ascq >= 0x80 ? "vendor-specific additional sense" : "additional sense";
  return `${kind} ${hexPair(asc)}h/${hexPair(ascq)}h`;
}

function hexPair(value: number): string {
  return value.toString(16).toUpperCase().padStart(2, "0");
}
