/** Who a disk says it is: INQUIRY and the vital product data pages, from one description. */
import { buildInquiry, DeviceType, Qualifier, ScsiVersion, StandardCode } from "./inquiry.js";
import { maxSenseLength } from "./task.js";
import { printable } from "./text.js";
import {
  buildDesignators,
  buildExtendedInquiry,
  buildVpdPage,
  DesignatorCodeSet,
  DesignatorType,
  VpdPage,
} from "./vpd.js";
import { buildBlockCharacteristics, buildBlockLimits, buildProvisioning } from "./vpd-block.js";

/** The names of a disk. */
export interface DiskIdentity {
  /** At most 8 characters of ASCII. */
  readonly vendor: string;
  /** At most 16. */
  readonly product: string;
  /** At most 4. */
  readonly revision: string;
  /** At most 36. */
  readonly serial: string;
  /** The NAA identifier, 64 bits. */
  readonly naa: bigint;
}

/** Limits in blocks that page B0h announces and commands enforce. */
export interface DiskLimits {
  /** Of reads, writes and verifies. */
  readonly maximumTransfer: number;
  readonly maximumPrefetch: number;
  readonly maximumCompareAndWrite: number;
  readonly maximumWriteSame: number;
  readonly maximumUnmapBlocks: number;
  readonly maximumUnmapDescriptors: number;
  readonly optimalUnmapGranularity: number;
}

/** What the pages say beside names. */
export interface DiskTraits {
  readonly removable: boolean;
  readonly isReadOnly: boolean;
  /** UNMAP works, and unmapped blocks read as zeros. */
  readonly isThin: boolean;
  readonly rotationRate: number;
  readonly limits: DiskLimits;
  /** Logical blocks in a physical one. */
  readonly blocksPerPhysical: number;
}

/** NAA 3h, locally assigned: 60 bits that follow from the disk's names, so that they are the same every time. */
export function locallyAssignedNaa(vendor: string, product: string, serial: string): bigint {
  return (3n << 60n) | (fnv1a64(`${vendor}\0${product}\0${serial}`) & ((1n << 60n) - 1n));
}

/** FNV-1a with 64 bits, over UTF-16 code units. */
export function fnv1a64(text: string): bigint {
  let hash = 0xcbf2_9ce4_8422_2325n;
  for (let index = 0; index < text.length; index++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(index))) * 0x100_0000_01b3n);
  }
  return hash;
}

/** Standard INQUIRY data of a disk. */
export function diskInquiry(identity: DiskIdentity, traits: DiskTraits): Uint8Array {
  return buildInquiry({
    qualifier: Qualifier.Connected,
    deviceType: DeviceType.Disk,
    removable: traits.removable,
    version: ScsiVersion.Spc4,
    commandQueuing: true,
    vendor: identity.vendor,
    product: identity.product,
    revision: identity.revision,
    standards: [StandardCode.Sam5, StandardCode.Spc4, StandardCode.Sbc3],
  });
}

/** ASCII text as bytes. */
function ascii(text: string): Uint8Array {
  return Uint8Array.from(printable(text), (character) => character.charCodeAt(0));
}

function identification({ vendor, product, serial, naa }: DiskIdentity): Uint8Array {
  const naaBytes = new Uint8Array(8);
  new DataView(naaBytes.buffer).setBigUint64(0, naa);
  return buildDesignators([
    {
      codeSet: DesignatorCodeSet.Ascii,
      association: 0,
      type: DesignatorType.T10Vendor,
      value: ascii(vendor.padEnd(8) + product.padEnd(16) + serial),
    },
    { codeSet: DesignatorCodeSet.Binary, association: 0, type: DesignatorType.Naa, value: naaBytes },
  ]);
}

/** The bodies of the pages, in the order of their codes. */
const pages: readonly (readonly [code: number, body: (identity: DiskIdentity, traits: DiskTraits) => Uint8Array])[] = [
  [VpdPage.Supported, () => Uint8Array.from(pages, ([code]) => code)],
  [VpdPage.SerialNumber, ({ serial }) => ascii(serial)],
  [VpdPage.DeviceIdentification, identification],
  [
    VpdPage.ExtendedInquiry,
    (_identity, { isReadOnly }) =>
      buildExtendedInquiry({
        // ORDERED and HEAD OF QUEUE are taken as SIMPLE, which virtio allows (1.2 §5.6.6.1), and not announced.
        simple: true,
        ordered: false,
        headOfQueue: false,
        volatileCache: !isReadOnly,
        maximumSenseLength: maxSenseLength,
      }),
  ],
  [VpdPage.BlockLimits, (_identity, traits) => blockLimits(traits)],
  [VpdPage.BlockCharacteristics, (_identity, { rotationRate }) => buildBlockCharacteristics({ rotationRate })],
  [
    VpdPage.LogicalBlockProvisioning,
    (_identity, { isThin }) =>
      buildProvisioning({
        unmap: isThin,
        writeSame16: isThin,
        writeSame10: isThin,
        readZeros: isThin,
        type: isThin ? 2 : 0,
      }),
  ],
];

function blockLimits({ limits, isThin, blocksPerPhysical }: DiskTraits): Uint8Array {
  return buildBlockLimits({
    writeSameNonZero: true,
    maximumCompareAndWrite: limits.maximumCompareAndWrite,
    optimalGranularity: blocksPerPhysical > 1 ? blocksPerPhysical : 0,
    maximumTransfer: limits.maximumTransfer,
    optimalTransfer: 0,
    maximumPrefetch: limits.maximumPrefetch,
    maximumUnmapBlocks: isThin ? limits.maximumUnmapBlocks : 0,
    maximumUnmapDescriptors: isThin ? limits.maximumUnmapDescriptors : 0,
    optimalUnmapGranularity: isThin ? limits.optimalUnmapGranularity : 0,
    maximumWriteSame: limits.maximumWriteSame,
  });
}

/** A page with its header, or undefined when disks have none of that code. */
export function diskVitalPage(code: number, identity: DiskIdentity, traits: DiskTraits): Uint8Array | undefined {
  const page = pages.find(([found]) => found === code);
  return page && buildVpdPage(DeviceType.Disk, code, page[1](identity, traits));
}
