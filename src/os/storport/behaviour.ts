/**
 * How the driver behaves where its history knows two ways, as data: the right one, and the one that a defect of chapter 3
 * of the reference describes. Every routine asks this record and nothing else.
 */

/** One field for each choice; the first value of each is right. */
export interface Behaviour {
  /** WRITE AND VERIFY writes and flushes, or only says so. */
  readonly writeAndVerify: "carried-out" | "pretended";
  /** The write cache that is reported is the negotiated one, or always on with flushes that do nothing. */
  readonly writeCache: "negotiated" | "claimed";
  readonly blockLength: "blk-size" | "size-max";
  /** READ(6) and WRITE(6): 21 bits, most significant first, 0 blocks are 256; or the bytes the other way round. */
  readonly shortCdb: "standard" | "swapped";
  /** What VPD page 83h is made from. */
  readonly identity: "device" | "constant";
  readonly resetBus: "full" | "nothing";
  readonly resetOrder: "reset-first" | "complete-first";
  /** Who names a request: the ring, or a counter that is read in BuildIo and advanced in StartIo. */
  readonly requestToken: "ring" | "build-io";
  /** Deciding on a notification belongs to publishing, or is a variable that the next request overwrites. */
  readonly kickDecision: "with-publish" | "shared-variable";
  readonly featuresRefused: "failure" | "ignored";
  /** Which features decide. */
  readonly decisions: "accepted" | "offered";
  /** When the last block is known. */
  readonly limitKnown: "initialisation" | "read-capacity";
  /** The end check compares sectors with sectors, or adds blocks to sectors. */
  readonly endCheck: "sectors" | "mixed";
  /** What a write with FUA ends with. */
  readonly fuaStatus: "first-failure" | "last";
  readonly unmapLimit: "blocks" | "sectors";
  /** Unmap granularity is the device's, or a fixed 32 KiB to which ranges are cut. */
  readonly discardGranularity: "device" | "fixed-32k";
  /** MaximumTransferLength leaves a break for an unaligned buffer, or does not. */
  readonly transferLength: "breaks" | "one-more";
  /** Elements are cut to size_max and counted against seg_max. */
  readonly segmentLimits: "both" | "ignored";
  /** An SG list longer than the SRB extension's table is refused. */
  readonly sgBounds: "checked" | "unchecked";
  /** A device that maps no configuration vector. */
  readonly vectorRefused: "line-instead" | "failure";
  /** Registers that read all ones. */
  readonly removal: "detected" | "ignored";
  /** What ends requests in a crash dump. */
  readonly dumpCompletion: "polled" | "interrupts";
  readonly configChange: "reread" | "ignored";
  /** What chooses the form of an answer. */
  readonly answerForm: "opcode" | "buffer-length";
  /** INQUIRY with a page code but without EVPD. */
  readonly pageWithoutEvpd: "sense" | "bare-check-condition";
  readonly serialCache: "until-change" | "for-ever";
  /** A used element that names no request in flight. */
  readonly unknownUsedId: "device-given-up" | "skipped";
  readonly serialStatus: "checked" | "ignored";
  /** No room on the ring. */
  readonly fullRing: "told" | "lost";
  /** Messages counted at a restart. */
  readonly messageCount: "fresh" | "added-up";
  /** READ and WRITE(12), MODE SENSE(10), WRITE SAME, WRITE AND VERIFY. */
  readonly opcodes: "all" | "few";
}

/** Everything right. */
export const rightBehaviour: Behaviour = {
  writeAndVerify: "carried-out",
  writeCache: "negotiated",
  blockLength: "blk-size",
  shortCdb: "standard",
  identity: "device",
  resetBus: "full",
  resetOrder: "reset-first",
  requestToken: "ring",
  kickDecision: "with-publish",
  featuresRefused: "failure",
  decisions: "accepted",
  limitKnown: "initialisation",
  endCheck: "sectors",
  fuaStatus: "first-failure",
  unmapLimit: "blocks",
  discardGranularity: "device",
  transferLength: "breaks",
  segmentLimits: "both",
  sgBounds: "checked",
  vectorRefused: "line-instead",
  removal: "detected",
  dumpCompletion: "polled",
  configChange: "reread",
  answerForm: "opcode",
  pageWithoutEvpd: "sense",
  serialCache: "until-change",
  unknownUsedId: "device-given-up",
  serialStatus: "checked",
  fullRing: "told",
  messageCount: "fresh",
  opcodes: "all",
};

/** A known defect: which driver had it, what it is, and what puts it back. */
export interface Defect {
  readonly number: number;
  readonly of: readonly ("seed" | "current")[];
  readonly text: string;
  readonly change: Partial<Behaviour>;
}

const both = ["seed", "current"] as const;
const seed = ["seed"] as const;
const current = ["current"] as const;

function defect(number: number, of: Defect["of"], text: string, change: Partial<Behaviour>): Defect {
  return { number, of, text, change };
}

/** Chapter 3 of the reference, by number. */
export const storportDefects: readonly Defect[] = [
  defect(1, seed, "WRITE AND VERIFY writes nothing", { writeAndVerify: "pretended" }),
  defect(2, seed, "a write cache is reported and never flushed", { writeCache: "claimed" }),
  defect(3, seed, "the block length is size_max", { blockLength: "size-max" }),
  defect(4, both, "LBA bytes of READ(6) and WRITE(6) in the wrong order", { shortCdb: "swapped" }),
  defect(5, seed, "every disk has the same identifier", { identity: "constant" }),
  defect(6, seed, "ResetBus does nothing", { resetBus: "nothing" }),
  defect(7, current, "SRBs end while the device has their buffers", { resetOrder: "complete-first" }),
  defect(8, current, "two requests with one id", { requestToken: "build-io" }),
  defect(9, current, "a notification is lost between deciding and sending", { kickDecision: "shared-variable" }),
  defect(10, current, "refused features are used", { featuresRefused: "ignored" }),
  defect(11, current, "offered features decide", { decisions: "offered" }),
  defect(12, current, "no request before READ CAPACITY", { limitKnown: "read-capacity" }),
  defect(13, current, "blocks are added to sectors at the end of the disk", { endCheck: "mixed" }),
  defect(14, current, "the status of a FUA write is lost", { fuaStatus: "last" }),
  defect(15, current, "unmap limit in sectors", { unmapLimit: "sectors" }),
  defect(16, current, "unmapping works in 32 KiB only", { discardGranularity: "fixed-32k" }),
  defect(17, both, "a transfer length without a break to spare", { transferLength: "one-more" }),
  defect(18, both, "seg_max and size_max ignored", { segmentLimits: "ignored" }),
  defect(19, both, "scatter/gather lists of any length", { sgBounds: "unchecked" }),
  defect(20, both, "a device without a configuration vector fails", { vectorRefused: "failure" }),
  defect(21, both, "a device that was pulled is waited for", { removal: "ignored" }),
  defect(22, both, "a dump needs interrupts", { dumpCompletion: "interrupts" }),
  defect(23, seed, "a resize is not seen", { configChange: "ignored" }),
  defect(24, both, "the buffer's length chooses the answer", { answerForm: "buffer-length" }),
  defect(25, both, "CHECK CONDITION without sense", { pageWithoutEvpd: "bare-check-condition" }),
  defect(26, current, "the serial number is kept for ever", { serialCache: "for-ever" }),
  defect(27, current, "an unknown used id is skipped", { unknownUsedId: "skipped" }),
  defect(28, current, "a failed GET_ID is an empty serial number", { serialStatus: "ignored" }),
  defect(29, seed, "a full ring loses a request; messages add up at each restart", {
    fullRing: "lost",
    messageCount: "added-up",
  }),
  defect(30, both, "READ(12), MODE SENSE(10) and WRITE SAME refused", { opcodes: "few" }),
];

/** Right, with these defects put back. @throws RangeError for a number that is none. */
export function behaviourWith(defects: readonly number[]): Behaviour {
  const changes = defects.map((number) => {
    const found = storportDefects.find((candidate) => candidate.number === number);
    if (found === undefined) throw new RangeError(`there is no defect ${number}: 1 to ${storportDefects.length}`);
    return found.change;
  });
  return Object.assign({}, rightBehaviour, ...changes) as Behaviour;
}
