/** Rings that loopbacks are driven over: one table for the matrices of every device type, one choice at random for soaks. */
import { featureSet, hasFeature, ringFeatures } from "../transport/index.js";
import type { LoopbackMachineOptions, LoopbackTransport } from "./loopback-machine.js";
import type { SeededRandom } from "./seeded-random.js";

const { IN_ORDER, NOTIFICATION_DATA } = ringFeatures;

/** What of a loopback is about its rings. */
export type LoopbackRings = Required<
  Pick<
    LoopbackMachineOptions,
    "transport" | "packed" | "furtherRingFeatures" | "indirect" | "eventIndex" | "interrupts" | "startIndex"
  >
>;

/** Register interfaces with the ring formats that they can have. */
const faces: readonly Pick<LoopbackRings, "transport" | "packed" | "furtherRingFeatures">[] = [
  { transport: "legacy-be", packed: false, furtherRingFeatures: 0n },
  { transport: "legacy-le", packed: false, furtherRingFeatures: 0n },
  { transport: "modern", packed: false, furtherRingFeatures: 0n },
  { transport: "modern", packed: true, furtherRingFeatures: 0n },
  { transport: "modern", packed: false, furtherRingFeatures: featureSet(IN_ORDER) },
  { transport: "modern", packed: true, furtherRingFeatures: featureSet(IN_ORDER) },
];

const onOff = [false, true];

/** Half of the rows start near the wrap; which half changes with the row, so that each value of a column has both. */
function startOf(row: number): number {
  return (row ^ (row >> 1) ^ (row >> 2)) % 2 === 0 ? 65_525 : 0;
}

/** Every face × indirect × event index × interrupts. */
export const loopbackMatrix: readonly LoopbackRings[] = faces
  .flatMap((face) =>
    onOff.flatMap((indirect) =>
      onOff.flatMap((eventIndex) =>
        (["intx", "msix"] as const).map((interrupts) => ({ ...face, indirect, eventIndex, interrupts })),
      ),
    ),
  )
  .map((row, index) => ({ ...row, startIndex: startOf(index) }));

/** Register interface and ring format as they come to be: legacy ones have split rings, whatever is asked for. */
export function ringsKind({ transport, packed, furtherRingFeatures }: LoopbackRings): string {
  if (transport !== "modern") return `${transport} split`;
  return `modern ${packed ? "packed" : "split"}${hasFeature(furtherRingFeatures, IN_ORDER) ? " in order" : ""}`;
}

/** A row for people. */
export function ringsName(rings: LoopbackRings): string {
  const { indirect, eventIndex, interrupts, startIndex } = rings;
  return [
    ringsKind(rings),
    indirect ? "indirect" : "direct",
    eventIndex ? "event index" : "flags",
    interrupts,
    `from index ${startIndex}`,
  ].join(", ");
}

/** Any rings that there can be: each feature on its own, formats and order by chance. */
export function randomRings(random: SeededRandom): LoopbackRings {
  const transports: readonly LoopbackTransport[] = ["legacy-be", "legacy-le", "modern"];
  const further = [IN_ORDER, NOTIFICATION_DATA].filter(() => random.chance(0.3));
  return {
    transport: transports[random.below(transports.length)],
    packed: random.chance(0.5),
    furtherRingFeatures: featureSet(...further),
    indirect: random.chance(0.5),
    eventIndex: random.chance(0.5),
    interrupts: random.chance(0.5) ? "msix" : "intx",
    startIndex: random.chance(0.5) ? 65_520 + random.below(16) : 0,
  };
}
