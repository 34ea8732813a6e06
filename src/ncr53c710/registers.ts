/**
 * The 53C710's register file: numbers, widths and bits. Registers have the chip's own numbers (little-endian lanes);
 * SCRIPTS use these. A big-endian host sees number `n` of a byte at offset `n ^ 3` ({@link hostOffset}), and a 32-bit
 * register at the same offset as its number.
 */
import type { RegisterTable } from "../bytes/index.js";

/** Numbers of the registers; of a wider one, the number of its least significant byte. */
export const Reg = {
  SCNTL0: 0x00,
  SCNTL1: 0x01,
  SDID: 0x02,
  SIEN: 0x03,
  SCID: 0x04,
  SXFER: 0x05,
  SODL: 0x06,
  SOCL: 0x07,
  SFBR: 0x08,
  SIDL: 0x09,
  SBDL: 0x0a,
  SBCL: 0x0b,
  DSTAT: 0x0c,
  SSTAT0: 0x0d,
  SSTAT1: 0x0e,
  SSTAT2: 0x0f,
  DSA: 0x10,
  CTEST0: 0x14,
  CTEST1: 0x15,
  CTEST2: 0x16,
  CTEST3: 0x17,
  CTEST4: 0x18,
  CTEST5: 0x19,
  CTEST6: 0x1a,
  CTEST7: 0x1b,
  TEMP: 0x1c,
  DFIFO: 0x20,
  ISTAT: 0x21,
  CTEST8: 0x22,
  LCRC: 0x23,
  DBC: 0x24,
  DCMD: 0x27,
  DNAD: 0x28,
  DSP: 0x2c,
  DSPS: 0x30,
  SCRATCH: 0x34,
  DMODE: 0x38,
  DIEN: 0x39,
  DWT: 0x3a,
  DCNTL: 0x3b,
  ADDER: 0x3c,
} as const;

/** Bytes of the register file. */
export const registerFileSize = 64;

/** Where a big-endian host finds the byte register `number`. */
export function hostOffset(number: number): number {
  return number ^ 3;
}

/** SCNTL0: how the SCSI core works. */
export const Scntl0 = {
  Arbitration: 0xc0,
  Start: 0x20,
  Watn: 0x10,
  Epc: 0x08,
  Epg: 0x04,
  Aap: 0x02,
  Trg: 0x01,
} as const;
/** SCNTL1. */
export const Scntl1 = { Exc: 0x80, Adb: 0x40, Esr: 0x20, Con: 0x10, Rst: 0x08, Aesp: 0x04 } as const;
/** SOCL and SBCL: the SCSI control lines. */
export const Lines = { Req: 0x80, Ack: 0x40, Bsy: 0x20, Sel: 0x10, Atn: 0x08, Msg: 0x04, Cd: 0x02, Io: 0x01 } as const;
/** DSTAT and DIEN: causes of DMA interrupts; DFE is live and no cause. */
export const Dstat = { Dfe: 0x80, Bf: 0x20, Abrt: 0x10, Ssi: 0x08, Sir: 0x04, Wtd: 0x02, Iid: 0x01 } as const;
/** All causes in DSTAT. */
export const dstatCauses = 0x3f;
/** SSTAT0 and SIEN: causes of SCSI interrupts. */
export const Sstat0 = {
  Ma: 0x80,
  Fcmp: 0x40,
  Sto: 0x20,
  Sel: 0x10,
  Sge: 0x08,
  Udc: 0x04,
  Rst: 0x02,
  Par: 0x01,
} as const;
/** SSTAT0 causes that neither stop SCRIPTS nor set SIP unless they are enabled. */
export const sstat0NonFatal = Sstat0.Fcmp | Sstat0.Sel;
/** SSTAT1. */
export const Sstat1 = {
  Ilf: 0x80,
  Orf: 0x40,
  Olf: 0x20,
  Aip: 0x10,
  Loa: 0x08,
  Woa: 0x04,
  Rst: 0x02,
  Sdp: 0x01,
} as const;
/** CTEST0. */
export const Ctest0 = { Btd: 0x40, Grp: 0x20, Ean: 0x10, Hsc: 0x08, Erf: 0x04, Ddir: 0x01 } as const;
/** CTEST2. */
export const Ctest2 = { Sigp: 0x40, Soff: 0x20, Sfp: 0x10, Dfp: 0x08, Teop: 0x04, Dreq: 0x02, Dack: 0x01 } as const;
/** CTEST4. */
export const Ctest4 = { Mux: 0x80, Zmod: 0x40, Szm: 0x20, Slbe: 0x10, Sfwr: 0x08, Fbl: 0x07 } as const;
/** CTEST5. */
export const Ctest5 = { Adck: 0x80, Bbck: 0x40, Roff: 0x20, Masr: 0x10, Ddir: 0x08 } as const;
/** CTEST7. */
export const Ctest7 = { Cdis: 0x80, Sc: 0x60, Std: 0x10, Dfp: 0x08, Evp: 0x04, Tt1: 0x02, Diff: 0x01 } as const;
/** CTEST8. */
export const Ctest8 = { Revision: 0xf0, Flf: 0x08, Clf: 0x04, Fm: 0x02, Sm: 0x01 } as const;
/** ISTAT: the only register that a host may touch while SCRIPTS run. */
export const Istat = { Abrt: 0x80, Rst: 0x40, Sigp: 0x20, Con: 0x08, Sip: 0x02, Dip: 0x01 } as const;
/** DMODE. */
export const Dmode = { Burst: 0xc0, Fc: 0x30, Pd: 0x08, Fam: 0x04, U0: 0x02, Man: 0x01 } as const;
/** DCNTL. */
export const Dcntl = { Cf: 0xc0, Ea: 0x20, Ssm: 0x10, Llm: 0x08, Std: 0x04, Fa: 0x02, Com: 0x01 } as const;

/** SCSI phases as MSG, C/D and I/O give them. */
export const Phase = {
  DataOut: 0,
  DataIn: 1,
  Command: 2,
  Status: 3,
  Reserved4: 4,
  Reserved5: 5,
  MessageOut: 6,
  MessageIn: 7,
} as const;

/** Registers of 32 bits. */
export const longRegisters = ["DSA", "TEMP", "DNAD", "DSP", "DSPS", "SCRATCH", "ADDER"] as const;

/** Registers that a host cannot write; SCRIPTS may write SFBR. */
export const readOnlyRegisters: readonly (keyof typeof Reg)[] = [
  "SFBR",
  "SIDL",
  "SBDL",
  "DSTAT",
  "SSTAT0",
  "SSTAT1",
  "SSTAT2",
  "CTEST1",
  "CTEST2",
  "CTEST3",
  "ADDER",
];

/** The register file as a big-endian host sees it. */
export const hostRegisters: RegisterTable = Object.fromEntries(
  Object.entries(Reg).map(([name, number]) => {
    const isLong = (longRegisters as readonly string[]).includes(name);
    const access = (readOnlyRegisters as readonly string[]).includes(name)
      ? ("read" as const)
      : ("read-write" as const);
    // DBC has three bytes; as a host sees them they follow DCMD.
    if (name === "DBC") return [name, { offset: 0x25, width: 2, access }];
    return [name, { offset: isLong ? number : hostOffset(number), width: isLong ? 4 : 1, access }];
  }),
);
