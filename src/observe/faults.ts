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

/** Whoever wants faults; a missing method wants none of that kind. */
export interface FaultHook {
  /** What should happen to this command; undefined carries it out. */
  command?(point: CommandFaultPoint): CommandFault | undefined;
  /** True when this interrupt shall be lost. */
  loseInterrupt?(): boolean;
}
