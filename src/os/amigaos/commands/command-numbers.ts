/** Numbers of exec, trackdisk, TD64 and new style device commands (5.3 of the reference), and the list that DEVICEQUERY gives. */

/** io_Command by name. */
export const Command = {
  CMD_INVALID: 0,
  CMD_RESET: 1,
  CMD_READ: 2,
  CMD_WRITE: 3,
  CMD_UPDATE: 4,
  CMD_CLEAR: 5,
  CMD_STOP: 6,
  CMD_START: 7,
  CMD_FLUSH: 8,
  TD_MOTOR: 9,
  TD_SEEK: 10,
  TD_FORMAT: 11,
  TD_REMOVE: 12,
  TD_CHANGENUM: 13,
  TD_CHANGESTATE: 14,
  TD_PROTSTATUS: 15,
  TD_RAWREAD: 16,
  TD_RAWWRITE: 17,
  TD_GETDRIVETYPE: 18,
  TD_GETNUMTRACKS: 19,
  TD_ADDCHANGEINT: 20,
  TD_REMCHANGEINT: 21,
  TD_GETGEOMETRY: 22,
  TD_EJECT: 23,
  TD_READ64: 24,
  TD_WRITE64: 25,
  TD_SEEK64: 26,
  TD_FORMAT64: 27,
  HD_SCSICMD: 28,
  ETD_READ: 0x8002,
  ETD_WRITE: 0x8003,
  ETD_UPDATE: 0x8004,
  ETD_CLEAR: 0x8005,
  ETD_MOTOR: 0x8009,
  ETD_SEEK: 0x800a,
  ETD_FORMAT: 0x800b,
  NSCMD_DEVICEQUERY: 0x4000,
  NSCMD_TD_GETGEOMETRY64: 0xa004,
  NSCMD_TD_CHANGEUNIT: 0xa005,
  NSCMD_TD_ADDSTATCALLBACK: 0xa006,
  NSCMD_TD_REMSTATCALLBACK: 0xa007,
  NSCMD_TD_READ64: 0xc000,
  NSCMD_TD_WRITE64: 0xc001,
  NSCMD_TD_SEEK64: 0xc002,
  NSCMD_TD_FORMAT64: 0xc003,
  NSCMD_ETD_READ64: 0xe000,
  NSCMD_ETD_WRITE64: 0xe001,
  NSCMD_ETD_SEEK64: 0xe002,
  NSCMD_ETD_FORMAT64: 0xe003,
} as const;

/** The name of a command, or its number in hexadecimal. */
export function commandName(command: number): string {
  const found = Object.entries(Command).find(([, value]) => value === command);
  return found?.[0] ?? `command 0x${command.toString(16)}`;
}

const c = Command;

/** The 43 entries of v1.5's list, in its order (5.5). */
export const supportedCommands: readonly number[] = [
  ...[c.CMD_READ, c.CMD_WRITE, c.CMD_UPDATE, c.CMD_CLEAR, c.CMD_FLUSH],
  ...[c.TD_MOTOR, c.TD_SEEK, c.TD_FORMAT, c.TD_REMOVE, c.TD_CHANGENUM, c.TD_CHANGESTATE, c.TD_PROTSTATUS],
  ...[c.TD_GETDRIVETYPE, c.TD_GETNUMTRACKS, c.TD_ADDCHANGEINT, c.TD_REMCHANGEINT, c.TD_GETGEOMETRY, c.TD_EJECT],
  ...[c.TD_READ64, c.TD_WRITE64, c.TD_SEEK64, c.TD_FORMAT64],
  ...[c.ETD_READ, c.ETD_WRITE, c.ETD_MOTOR, c.ETD_SEEK, c.ETD_FORMAT, c.ETD_UPDATE, c.ETD_CLEAR],
  c.HD_SCSICMD,
  ...[c.NSCMD_DEVICEQUERY, c.NSCMD_TD_READ64, c.NSCMD_TD_WRITE64, c.NSCMD_TD_SEEK64, c.NSCMD_TD_FORMAT64],
  ...[c.NSCMD_TD_GETGEOMETRY64, c.NSCMD_TD_CHANGEUNIT, c.NSCMD_TD_ADDSTATCALLBACK, c.NSCMD_TD_REMSTATCALLBACK],
  ...[c.NSCMD_ETD_READ64, c.NSCMD_ETD_WRITE64, c.NSCMD_ETD_SEEK64, c.NSCMD_ETD_FORMAT64],
];

/** The same with the two that v1.10 added at the end. */
export const supportedCommandsLater: readonly number[] = [...supportedCommands, c.CMD_STOP, c.CMD_START];
