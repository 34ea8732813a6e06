/**
 * Where the bits of an instruction are. Assembler, disassembler and the chip's engine take them from here; the first
 * dword is called the command word, the second DSPS.
 */

/** Bits 31:30 of the command word. */
export const InstructionClass = { BlockMove: 0, IoOrRegister: 1, Transfer: 2, MemoryOrLoadStore: 3 } as const;

/** Bits of block moves (class 0). */
export const BlockMoveBits = {
  Indirect: 1 << 29,
  TableIndirect: 1 << 28,
  /** WHEN: wait for REQ and compare (initiator). Clear: WITH, the chip drives the phase (target). */
  When: 1 << 27,
} as const;

/** Bits 29:27 of class 1, as an initiator and as a target; 5 to 7 are register moves. */
export const IoOpcode = {
  /** RESELECT as a target. */
  Select: 0,
  /** DISCONNECT as a target. */
  WaitDisconnect: 1,
  /** WAIT SELECT as a target. */
  WaitReselect: 2,
  Set: 3,
  Clear: 4,
  /** SFBR op data → register. */
  SfbrToRegister: 5,
  /** Register op data → SFBR. */
  RegisterToSfbr: 6,
  /** Register op data → the same register. */
  ReadModifyWrite: 7,
} as const;

/** Bits of SELECT and RESELECT. */
export const SelectBits = { Relative: 1 << 26, TableIndirect: 1 << 25, Attention: 1 << 24 } as const;

/** Operands of SET and CLEAR. */
export const SetBits = { Carry: 1 << 10, Target: 1 << 9, Ack: 1 << 6, Atn: 1 << 3 } as const;
/** All operands of SET and CLEAR. */
export const setBitsAll = 0x648;

/** Operators of register moves, bits 26:24. */
export const AluOperator = {
  Move: 0,
  ShiftLeft: 1,
  Or: 2,
  Xor: 3,
  And: 4,
  ShiftRight: 5,
  Add: 6,
  AddWithCarry: 7,
} as const;

/** Bits 29:27 of transfer control (class 2). */
export const TransferOpcode = { Jump: 0, Call: 1, Return: 2, Interrupt: 3 } as const;

/** Bits of transfer control. */
export const TransferBits = {
  Relative: 1 << 23,
  Carry: 1 << 21,
  /** Interrupt on the fly; later chips. */
  OnTheFly: 1 << 20,
  /** The value that every selected compare must have. */
  True: 1 << 19,
  Data: 1 << 18,
  Phase: 1 << 17,
  /** Wait for REQ first. */
  When: 1 << 16,
} as const;

/** Bits of class 3. */
export const MemoryBits = {
  /** Load/store instead of memory move; later chips. */
  LoadStore: 1 << 29,
  /** Load/store address is relative to DSA. */
  DsaRelative: 1 << 28,
  /** Load, not store. */
  Load: 1 << 24,
} as const;

/** Phase names in sources, by number. */
export const phaseNames = ["DATA_OUT", "DATA_IN", "CMD", "STATUS", "RES4", "RES5", "MSG_OUT", "MSG_IN"] as const;

/** Other ways to write phases. */
export const phaseAliases: Readonly<Record<string, number>> = {
  COMMAND: 2,
  RESERVED_OUT: 4,
  RESERVED_IN: 5,
};

/** The class of a command word. */
export function classOf(command: number): number {
  return command >>> 30;
}

/** Dwords of the instruction that starts with this command word: three for a memory move, else two. */
export function instructionLength(command: number): 2 | 3 {
  return classOf(command) === InstructionClass.MemoryOrLoadStore && (command & MemoryBits.LoadStore) === 0 ? 3 : 2;
}

/** 24 bits as a signed number. */
export function signed24(value: number): number {
  return (value << 8) >> 8;
}
