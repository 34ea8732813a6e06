/**
 * The drivers that there are, as data: Storport's of 2010 (the seed's), the ScsiPort build of the same sources for Windows
 * XP, and today's. What their INF and text-mode set-up files carry is part of it.
 */
import { featureSet, ringFeatures } from "../../transport/index.js";
import { blkFeatures } from "../../virtio/index.js";

/** What INF and text-mode set-up files say of a driver. */
export interface InstallTable {
  /** Files that the table stands for. */
  readonly files: readonly string[];
  /** PCI functions that the driver is for. */
  readonly ids: readonly {
    readonly vendorId: number;
    readonly deviceId: number;
    /** Undefined: any. */
    readonly subsystemId?: number;
    readonly revision?: number;
  }[];
  readonly loadOrderGroup: string;
  readonly startType: "boot";
  /** INTERFACE_TYPE: 5 is PCI on the driver's command line, 1 in its parameters. */
  readonly parameters: Readonly<Record<string, number>>;
  /** MSI messages that are asked for; 0 leaves MSI off. */
  readonly messageLimit: number;
  readonly interruptPolicy: "machine-default" | "spread-across-processors";
  /** NumberOfAccessRanges: BARs that the driver is given. */
  readonly accessRanges: number;
}

/** One driver. */
export interface StorportProfile {
  readonly name: "seed" | "scsiport" | "current";
  readonly title: string;
  /** The port driver above it. */
  readonly port: "storport" | "scsiport";
  readonly install: InstallTable;
  /** Register interfaces that it can drive. */
  readonly registers: readonly ("pci-legacy" | "pci-modern")[];
  /** Status bits, features written and read back as the specification wants, or nothing of it (2010). */
  readonly bringUp: "none" | "specification";
  /** Features that it understands. */
  readonly features: bigint;
  /** MAX_PHYS_SEGMENTS: data elements; a request has three more (VIRTIO_MAX_SG). */
  readonly segments: number;
  /** How limits and vectors are computed. */
  readonly arithmetic: "2010" | "2026";
  /** Bytes of a segment when SIZE_MAX is not offered. */
  readonly defaultSizeMax: number;
  /** What an SRB is. */
  readonly srbForm: "scsi-request-block" | "storage-request-block";
  /** Requests are checked and built in BuildIo, without a lock, or in StartIo. */
  readonly buildIo: boolean;
  /** Stop resets the device always, or only when it was removed or stopped by PnP before. */
  readonly stop: "resets" | "resets-when-removed";
  /** SRB functions that are carried out; others answer SUCCESS (`accepted`) or INVALID_REQUEST. */
  readonly resetsByFunction: boolean;
  readonly flushesByFunction: boolean;
  readonly handlesPnp: boolean;
  /** SRB status when the ring has no room. */
  readonly noRoom: "aborted" | "busy";
  /** "Adapter busy for n completions", said when the ring has no room. */
  readonly busyFor: number;
  /** GET_ID, FUA, UNMAP, the pages B0h to B2h, write protection with sense. */
  readonly generation: "2010" | "2026";
  readonly alignmentMask: number;
  /** ScsiPort asks for the next request at once while so many descriptors are free. */
  readonly nextRequestRoom: number;
}

const { SIZE_MAX, SEG_MAX, GEOMETRY, RO, BLK_SIZE, BARRIER, FLUSH, CONFIG_WCE, MQ, DISCARD, WRITE_ZEROES, TOPOLOGY } =
  blkFeatures;
const { ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX, VERSION_1 } = ringFeatures;

const legacyId = { vendorId: 0x1af4, deviceId: 0x1001 } as const;

const seed: StorportProfile = {
  name: "seed",
  title: "Storport miniport of 2010",
  port: "storport",
  install: {
    files: ["txtsetup.oem", "wnet.inf", "wlh.inf"],
    ids: [{ ...legacyId, subsystemId: 0x0002, revision: 0 }],
    loadOrderGroup: "SCSI miniport",
    startType: "boot",
    parameters: { BusType: 1 },
    messageLimit: 2,
    interruptPolicy: "machine-default",
    accessRanges: 1,
  },
  registers: ["pci-legacy"],
  bringUp: "none",
  features: featureSet(BARRIER, SIZE_MAX, SEG_MAX, GEOMETRY, RO, BLK_SIZE),
  segments: 17,
  arithmetic: "2010",
  defaultSizeMax: 512,
  srbForm: "scsi-request-block",
  buildIo: true,
  stop: "resets",
  resetsByFunction: false,
  flushesByFunction: false,
  handlesPnp: false,
  noRoom: "aborted",
  busyFor: 2,
  generation: "2010",
  alignmentMask: 0,
  nextRequestRoom: 0,
};

/** Both drivers and the variant, by name. */
export const storportProfiles: Readonly<Record<StorportProfile["name"], StorportProfile>> = {
  seed,
  scsiport: {
    ...seed,
    name: "scsiport",
    title: "ScsiPort miniport for Windows XP, of 2010",
    port: "scsiport",
    install: { ...seed.install, files: ["txtsetup.oem"], ids: [legacyId], messageLimit: 0 },
    buildIo: false,
    noRoom: "busy",
    nextRequestRoom: 20,
  },
  current: {
    name: "current",
    title: "Storport miniport of 2026",
    port: "storport",
    install: {
      files: ["viostor.inf"],
      ids: [
        { ...legacyId, subsystemId: 0x0002, revision: 0 },
        { vendorId: 0x1af4, deviceId: 0x1042, subsystemId: 0x1100, revision: 1 },
      ],
      loadOrderGroup: "SCSI miniport",
      startType: "boot",
      parameters: { BusType: 1, DmaRemappingCompatible: 0, IoTimeoutValue: 90 },
      messageLimit: 257,
      interruptPolicy: "spread-across-processors",
      accessRanges: 6,
    },
    registers: ["pci-modern", "pci-legacy"],
    bringUp: "specification",
    features:
      featureSet(BARRIER, SIZE_MAX, SEG_MAX, GEOMETRY, RO, BLK_SIZE, FLUSH, TOPOLOGY, CONFIG_WCE, MQ) |
      featureSet(DISCARD, WRITE_ZEROES, ANY_LAYOUT, INDIRECT_DESC, EVENT_IDX, VERSION_1),
    segments: 512,
    arithmetic: "2026",
    defaultSizeMax: 4096,
    srbForm: "storage-request-block",
    buildIo: true,
    stop: "resets-when-removed",
    resetsByFunction: true,
    flushesByFunction: true,
    handlesPnp: true,
    noRoom: "busy",
    busyFor: 2,
    generation: "2026",
    alignmentMask: 3,
    nextRequestRoom: 0,
  },
};

/** VIRTIO_MAX_SG: header, status, one to spare, and the data. */
export function virtioMaxSg(profile: StorportProfile): number {
  return profile.segments + 3;
}

/** Whether a PCI function is one that the install table names. A modern function with another subsystem fits too. */
export function matchesInstallTable(
  profile: StorportProfile,
  fn: { readonly vendorId: number; readonly deviceId: number; readonly subsystemId: number },
): boolean {
  return profile.install.ids.some(
    ({ vendorId, deviceId, subsystemId }) =>
      vendorId === fn.vendorId &&
      deviceId === fn.deviceId &&
      (subsystemId === undefined || subsystemId === fn.subsystemId),
  );
}
