/**
 * Faults on demand. Device halves hold `faults: FaultHook | undefined` and ask it before they carry a command out;
 * platforms ask it before they deliver an interrupt. Without a hook that is one branch.
 */
export interface CommandFaultPoint {
  readonly target: number;
  readonly lun: number;
  /** The command, valid during the call. */
  readonly cdb: Uint8Array;
}

/** What should happen to a command instead of its being carried out. */
export type CommandFault =
  /** Carry the command out, but only after this many milliseconds. */
  | { readonly kind: "delay"; readonly milliseconds: number }
  /** Fail with CHECK CONDITION and this sense. */
  | { readonly kind: "error"; readonly key: number; readonly asc: number; readonly ascq: number }
  /** Fail on the transport with this virtio-scsi response code. */
  | { readonly kind: "response"; readonly response: number }
  /** Never answer: only a task management function or a reset gives the request back. */
  | { readonly kind: "never" };

/** A request to a block device, as a fault hook sees it. */
export interface BlockFaultPoint {
  /** Request type of virtio-blk. */
  readonly type: number;
  /** First sector of 512 bytes. */
  readonly sector: number;
  /** Bytes of data. */
  readonly byteLength: number;
  readonly queue: number;
}

/** What should happen to a request of a block device instead of its being carried out. */
export type BlockFault =
  /** Carry the request out, but only after this many milliseconds. */
  | { readonly kind: "delay"; readonly milliseconds: number }
  /** Fail with this virtio-blk status. */
  | { readonly kind: "status"; readonly status: number }
  /** Never answer: only a reset gives the request back. */
  | { readonly kind: "never" };

/** Bytes that a chip took from or gave to a parallel SCSI bus, as a fault hook sees them. */
export interface WireFaultPoint {
  /** Phase: 0…7, the lines MSG, C/D and I/O. */
  readonly phase: number;
  readonly byteLength: number;
}

/** What should be wrong with them: their parity, or the count of REQ and ACK in a synchronous transfer. */
export type WireFault = "parity" | "gross";

/** Whoever wants faults; a missing method wants none of that kind. */
export interface FaultHook {
  /** What should happen to this command; undefined carries it out. */
  command?(point: CommandFaultPoint): CommandFault | undefined;
  /** What should happen to this request of a block device; undefined carries it out. */
  blockRequest?(point: BlockFaultPoint): BlockFault | undefined;
  /** What should be wrong with bytes on a parallel SCSI bus; undefined leaves them as they are. */
  wireTransfer?(point: WireFaultPoint): WireFault | undefined;
  /** True when this interrupt shall be lost. */
  loseInterrupt?(): boolean;
}
