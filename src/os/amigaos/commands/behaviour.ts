/**
 * How commands and DMA behave where the driver's history knows two ways, as data; the first value of each field is right.
 * Handlers ask this record and nothing else.
 */

/** One field for each choice. */
export interface CommandBehaviour {
  // --- memory
  /** Devices are given physical addresses, or the program's own (B1). */
  readonly addresses: "physical" | "virtual";
  /** Every page of a buffer is looked up, or the first, as if the rest followed it (B4). */
  readonly pages: "each" | "first";
  /** Entries of a DMA list are counted before they are written, or after (Q5). */
  readonly scatterBounds: "checked" | "unchecked";
  /** A transfer that is more than one command may be becomes several, or is sent as it is, or refused with HFERR_DMA. */
  readonly splitting: "by-limits" | "none";
  /** Data segments of a command at most, whatever the device says. */
  readonly mostSegments: number;
  /** Transfers of at most so many bytes go through a buffer of the slot's own. */
  readonly bounceBytes: number;

  // --- reads and writes
  /** NULL, length 0 and parts of blocks are refused, or sent as they are, a part counting as a block (B23). */
  readonly transferCheck: "before" | "none";
  /** READ(16) when the number of blocks needs it too, or by block address only: more than 65 535 blocks wrap (B31). */
  readonly cdbChoice: "address-and-count" | "address";
  /** The block size is known before the first transfer, or 512 until somebody asks for the geometry. */
  readonly blockSizeKnown: "before-transfers" | "at-geometry";
  /** TD_FORMAT writes, or answers only (B2). */
  readonly format: "writes" | "nothing";
  /** CMD_UPDATE and CMD_FLUSH make what was written durable, or answer only. */
  readonly update: "durable" | "nothing";
  /** The change count of ETD commands is compared, or ignored. */
  readonly etdCount: "compared" | "ignored";

  // --- change interrupts
  /** An older held request is answered IOERR_ABORTED, or forgotten. */
  readonly replacedRequest: "aborted" | "forgotten";
  /** Requests belong to their unit, or all to the first (B6). */
  readonly changeUnit: "own" | "first";
  /** Without a unit there is an error, or no answer (B34). */
  readonly changeWithoutUnit: "open-fail" | "no-answer";
  /** A program that takes back its request by the same request gets one answer, or two. */
  readonly sameRequest: "once" | "twice";

  // --- what a disk says of itself
  readonly shape: "exact-product" | "fixed-64";
  readonly totalSectors: "clamped" | "wrapped";
  /** READ CAPACITY(16) where (10) does not reach, or never (B17). */
  readonly capacity: "long-when-needed" | "short";
  /** The reserved word of DriveGeometry is cleared, or left as it was (B28). */
  readonly geometryReserved: "cleared" | "dirty";
  /** MEMF_LOCAL is said of buffers too, or not (B28). */
  readonly bufferMemory: "public-local" | "public";
  /** The geometry says what kind of device it is, or always disk. */
  readonly geometryType: "peripheral" | "disk";
  /** DRIVE3_5 (1), DRIVE_NEWSTYLE, which SmartFilesystem does not take, or 0 (B28). */
  readonly driveType: "3.5" | "new-style" | "zero";
  /** Tracks are counted, or 0 (B35). */
  readonly tracks: "counted" | "zero";
  /** An RDB counts when its checksum is right, or when it is called one (B30). */
  readonly rdb: "checksum" | "name";
  /** Change count and medium are the unit's, or constants. */
  readonly mediumState: "kept" | "constant";
  /** Write protection is asked for, or denied. */
  readonly protection: "asked" | "never";
  /** TD_EJECT ejects what can be ejected, or answers only. */
  readonly eject: "ejects" | "nothing";
  /** The list of supported commands has START and STOP (v1.10), or not. */
  readonly commandList: "45" | "43";

  // --- SCSI direct
  /** Any command is sent to the device, or those of a list. */
  readonly opcodes: "all" | "list";
  /** The device's own answer first, where it has one; or what is answered locally always is. */
  readonly localAnswers: "when-refused" | "always";
  /** ATA PASS-THROUGH is answered for SMART, or an unknown command (B16). */
  readonly ataPassThrough: "answered" | "unknown";
  /** Sense of forwarded commands is delivered to the caller, or thrown away. */
  readonly forwardedSense: "delivered" | "discarded";
  /** VPD pages of ours name target and LUN, or the target only. */
  readonly identifiers: "target-and-lun" | "target";
  /** VPD pages of ours are cut to the caller's room, or refused. */
  readonly shortRoom: "cut" | "refused";
  /** SMART data sum up to 0, or have no checksum. */
  readonly smartChecksum: "computed" | "zero";

  // --- errors
  /** Each sense key has its number, or all that is not GOOD is 45 (B18). */
  readonly errors: "by-key" | "bad-status";
  /** Sense in both formats is understood, or taken for fixed format. */
  readonly senseFormats: "both" | "fixed";
}

/** Everything right. */
export const rightCommands: CommandBehaviour = {
  addresses: "physical",
  pages: "each",
  scatterBounds: "checked",
  splitting: "by-limits",
  mostSegments: 256,
  bounceBytes: 65536,
  transferCheck: "before",
  cdbChoice: "address-and-count",
  blockSizeKnown: "before-transfers",
  format: "writes",
  update: "durable",
  etdCount: "compared",
  replacedRequest: "aborted",
  changeUnit: "own",
  changeWithoutUnit: "open-fail",
  sameRequest: "once",
  shape: "exact-product",
  totalSectors: "clamped",
  capacity: "long-when-needed",
  geometryReserved: "cleared",
  bufferMemory: "public-local",
  geometryType: "peripheral",
  driveType: "3.5",
  tracks: "counted",
  rdb: "checksum",
  mediumState: "kept",
  protection: "asked",
  eject: "ejects",
  commandList: "45",
  opcodes: "all",
  localAnswers: "when-refused",
  ataPassThrough: "answered",
  forwardedSense: "delivered",
  identifiers: "target-and-lun",
  shortRoom: "cut",
  smartChecksum: "computed",
  errors: "by-key",
  senseFormats: "both",
};

/** Version 1.5 build 1079. */
export const strictCommands: CommandBehaviour = {
  ...rightCommands,
  scatterBounds: "unchecked",
  splitting: "none",
  // 64 entries, of which two are request and response.
  mostSegments: 62,
  bounceBytes: 4096,
  transferCheck: "none",
  cdbChoice: "address",
  blockSizeKnown: "at-geometry",
  update: "nothing",
  etdCount: "ignored",
  replacedRequest: "forgotten",
  changeWithoutUnit: "no-answer",
  sameRequest: "twice",
  shape: "fixed-64",
  geometryReserved: "dirty",
  bufferMemory: "public",
  geometryType: "disk",
  driveType: "new-style",
  tracks: "zero",
  mediumState: "constant",
  protection: "never",
  eject: "nothing",
  commandList: "43",
  opcodes: "list",
  localAnswers: "always",
  forwardedSense: "discarded",
  identifiers: "target",
  shortRoom: "refused",
  smartChecksum: "zero",
  senseFormats: "fixed",
};
