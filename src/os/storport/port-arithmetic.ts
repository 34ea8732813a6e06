/** What a miniport reports to its port driver in PORT_CONFIGURATION_INFORMATION, computed: pure functions. */

/** Bytes of a page: one physical break is one page. */
export const pageSize = 4096;

/** Limits that come out of the arithmetic. */
export interface PortLimits {
  /** Pages of a request. */
  readonly breaks: number;
  /** Bytes of a request. */
  readonly maximumTransferLength: number;
  /** NumberOfPhysicalBreaks as reported. */
  readonly physicalBreaks: number;
  /** Requests that the port driver may have outstanding. */
  readonly depth: number;
}

/** What the limits follow from. */
export interface LimitFacts {
  readonly queueSize: number;
  /** INDIRECT_DESC; not looked at by the driver of 2010. */
  readonly indirect?: boolean;
  /** Loaded for a crash dump or hibernation. */
  readonly dump?: boolean;
  /** Undefined: not offered. */
  readonly segMax?: number | undefined;
  readonly sizeMax?: number | undefined;
}

/** MAX_PHYS_SEGMENTS of 2010: pages of a request and one more, for a buffer that starts inside a page. */
const seedSegments = 17;
const seedBreaks = 16;
const seedDumpBreaks = 8;
const currentSegments = 513;
const currentBreaks = 512;
const currentDumpBreaks = 16;

/** The driver of 2010: 16 pages (8 in a dump), and a depth that assumes them all used. */
export function seedLimits({ queueSize, dump = false, segMax, sizeMax }: LimitFacts): PortLimits {
  const wanted = dump ? seedDumpBreaks : seedBreaks;
  const depth = Math.max(1, Math.floor(queueSize / wanted) - 1);
  const segments = Math.min(segMax || seedSegments, seedSegments);
  const segmentSize = sizeMax || pageSize;
  const breaks = Math.min(wanted, segmentBreaks(segments, segmentSize));
  return breaks < 1
    ? singleSegment(segments, segmentSize, depth)
    : { breaks, maximumTransferLength: breaks * pageSize, physicalBreaks: breaks, depth };
}

/** The driver of today. */
export function currentLimits(facts: LimitFacts): PortLimits {
  const { queueSize, dump = false } = facts;
  const sizeMax = facts.sizeMax || pageSize;
  // The driver's own table bounds pieces too, which are more than pages when segments are small.
  const told = facts.segMax || (facts.sizeMax ? currentSegments : 0);
  const segMax = Math.min(told, currentSegments);
  const indirect = facts.indirect === true && !dump;
  let breaks = dump ? currentDumpBreaks : currentBreaks;
  let depth = queueSize;
  if (!indirect) {
    breaks = Math.max(currentDumpBreaks, Math.floor(queueSize / 4));
    depth = Math.max(Math.floor(queueSize / breaks) - 1, 1);
  }
  if (facts.segMax) breaks = segmentBreaks(segMax, sizeMax);
  else if (segMax > 0) breaks = Math.min(breaks, segmentBreaks(segMax, sizeMax));
  if (breaks < 1) return singleSegment(Math.max(segMax, 1), sizeMax, depth);
  return { breaks, maximumTransferLength: breaks * pageSize, physicalBreaks: breaks + 1, depth };
}

/** Pages that fit into the segments, less one: an unaligned buffer touches one more. */
function segmentBreaks(segMax: number, sizeMax: number): number {
  return Math.floor((segMax * sizeMax) / (Math.ceil(sizeMax / pageSize) * pageSize)) - 1;
}

/**
 * A device whose segments hold less than two pages: whole sectors of what is left.
 * @throws RangeError when that is less than a sector.
 */
function singleSegment(segMax: number, sizeMax: number, depth: number): PortLimits {
  const bytes = Math.min(segMax * sizeMax, pageSize);
  const maximumTransferLength = bytes - (bytes % 512);
  if (maximumTransferLength === 0) {
    throw new RangeError(`seg_max ${segMax} with size_max ${sizeMax} leaves no room for a sector`);
  }
  return { breaks: 1, maximumTransferLength, physicalBreaks: 1, depth };
}

/** Which message serves what. */
export interface VectorPlan {
  /** Queues in use. */
  readonly queues: number;
  /** Message of the configuration; undefined without messages. */
  readonly config: number | undefined;
  /** Message of queue 0; the others follow unless all share one. */
  readonly firstQueue: number | undefined;
  /** One message for everything. */
  readonly shared: boolean;
}

/** The driver of 2010: the last of at least two messages for the queue, the first for the configuration. */
export function seedVectors(messages: number): VectorPlan {
  if (messages < 2) return { queues: 1, config: undefined, firstQueue: undefined, shared: false };
  return { queues: 1, config: 0, firstQueue: messages - 1, shared: false };
}

/** The driver of today: a message for each queue and one for the configuration, fewer queues when there are fewer. */
export function currentVectors(messages: number, queues: number): VectorPlan {
  if (messages === 0) return { queues: 1, config: undefined, firstQueue: undefined, shared: false };
  const used = queues > 1 && messages < queues + 1 ? messages : queues;
  if (messages >= used + 1) return { queues: used, config: 0, firstQueue: 1, shared: false };
  return { queues: 1, config: 0, firstQueue: 0, shared: true };
}
