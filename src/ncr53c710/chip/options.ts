/** What a chip can be told; among it the points where sources about the silicon disagree or say nothing. */
import type { FaultHook, Observer } from "../../observe/index.js";

/** Calls back after a time; returns the way to call it off. */
export interface Clock {
  after(milliseconds: number, callback: () => void): () => void;
}

/** The clock of the system. */
export const systemClock: Clock = {
  after(milliseconds, callback) {
    const timer = setTimeout(callback, milliseconds);
    return () => clearTimeout(timer);
  },
};

/**
 * The open points. Each default says why.
 */
export interface OpenPoints {
  /** SCID after reset. Default 00h: the only header made from the data sheet says so; two emulators have 80h. */
  readonly scidReset: number;
  /** XOR and shifts in register moves. Default "allowed": tools emit them; "illegal" raises IID as one source says. */
  readonly xorAndShifts: "allowed" | "illegal";
  /** INTFLY, an instruction of later chips. Default "illegal"; "interrupt" takes it for INT. */
  readonly interruptOnTheFly: "illegal" | "interrupt";
  /** A block or memory move of 0 bytes. Default "illegal" (IID), as one source says; "nothing" goes on. */
  readonly zeroCount: "illegal" | "nothing";
  /** What a memory move does to TEMP and DSA. Default "destroyed": old drivers save DSA for that reason. */
  readonly memoryMove: "destroyed" | "preserved";
  /**
   * When ATN falls in a message-out move. Default "last-byte": scripts in the wild never clear it themselves and expect
   * the target to go on; "kept" leaves that to CLEAR ATN.
   */
  readonly messageOutAttention: "last-byte" | "kept";
  /**
   * What a target sees when the chip is reset while they are connected. Default "released": a driver that resets the
   * chip before each command finds a free bus; "held" leaves the target waiting for a bus reset.
   */
  readonly resetWhileConnected: "released" | "held";
  /**
   * An address at which nobody answers. Default "bus-error": a Zorro III bus ends such a cycle with BERR. With
   * "silence" nothing ends it but the watchdog (DWT), an abort or a reset.
   */
  readonly unansweredAddress: "bus-error" | "silence";
  /**
   * Which lane of the DMA FIFO goes to addresses that are multiples of 4 when CTEST8.FLF flushes it. Default 3: it has
   * data lines 31 to 24, and a big-endian bus has its lowest address there; 0 is what a little-endian bus would have.
   */
  readonly firstLane: 3 | 0;
}

/** The defaults of the open points. */
export const defaultOpenPoints: OpenPoints = {
  scidReset: 0x00,
  xorAndShifts: "allowed",
  interruptOnTheFly: "illegal",
  zeroCount: "illegal",
  memoryMove: "destroyed",
  messageOutAttention: "last-byte",
  resetWhileConnected: "released",
  unansweredAddress: "bus-error",
  firstLane: 3,
};

/** How a chip is made; every field has a default. */
export interface ChipOptions {
  /** Silicon revision, the high half of CTEST8. Default 2. */
  readonly revision?: number;
  /**
   * Who gives SCRIPTS their turns. Default "in-access": the register write that starts a script runs it until it stops,
   * waits, or has used up its turn, as drivers that look once after starting expect; the rest comes by `schedule`.
   * "scheduled": `schedule` from the start. "manual": only {@link Ncr53c710.run}.
   */
  readonly turns?: "in-access" | "scheduled" | "manual";
  /** Instructions a turn, so that an endless script hangs nobody. Default 4096. */
  readonly instructionsPerTurn?: number;
  /** Calls the next turn, later. Default: a timer of 0 ms. */
  readonly schedule?: (turn: () => void) => void;
  /** Milliseconds until a selection that nobody answers times out; 0 at once. Default 250, as the chip has it. */
  readonly selectionTimeout?: number;
  readonly clock?: Clock;
  readonly observer?: Observer | undefined;
  /**
   * Asked for what is wrong on the wire: after the bytes came in, before they go out. A parity error of what comes in is
   * a cause (SSTAT0.PAR) while SCNTL0.EPC is set, one of what goes out is found by the target. A gross error (SGE) is one
   * of synchronous data phases.
   */
  readonly faults?: FaultHook | undefined;
  readonly openPoints?: Partial<OpenPoints>;
}
