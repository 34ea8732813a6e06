/** What happens from the first open of the root device on: which card gets which number, what opens, or how it ends. */
import { blockBytes } from "../../memory/index.js";
import { onboardScsiProduct } from "./autocon.js";
import { agnusId, customChips, describeChipset } from "./chipset.js";
import { Errno, errnoText } from "./errno.js";
import type { AmixKernel } from "./kernel.js";
import { type AmixSlice, blockDevice, sliceName } from "./numbering.js";
import type { Card } from "./sd.js";
import { amixBlock } from "./sdpart.js";

/** Devices that the kernel is built with. */
export const rootSlice: AmixSlice = { card: 0, unit: 6, slice: 1 };
/** The same for swap. */
export const swapSlice: AmixSlice = { card: 0, unit: 6, slice: 2 };

/** A card, for programs. */
export interface CardFacts {
  /** Number; undefined for one that was refused. */
  readonly card: number | undefined;
  readonly name: string;
  readonly base: number;
  /** The queue function and its argument: `a4091queue(0)`. */
  readonly queue: string;
}

/** How opening a device ended. */
export interface OpenedDevice {
  readonly name: string;
  readonly device: number;
  /** 0 when it opened. */
  readonly errno: number;
  readonly blocks?: number;
  /** What is on it, where that can be told: `ufs`, `s5`. */
  readonly content?: string;
}

/** The story, for programs and (`lines`) for people. */
export interface BootStory {
  readonly chipset: string;
  readonly gate: string;
  readonly cards: readonly CardFacts[];
  readonly root: OpenedDevice;
  readonly swap: OpenedDevice;
  /** What the console says last, when the kernel cannot go on. */
  readonly panic?: string;
  readonly lines: readonly string[];
}

/** Where file systems have their magic numbers, in bytes from the slice's start. */
const magics = [
  { content: "ufs", at: 8192 + 1372, value: 0x0001_1954 },
  { content: "s5", at: 512 + 504, value: 0xfd18_7e20 },
] as const;

/** Starts `sd`, opens root and swap, and tells. */
export async function tellBoot(kernel: AmixKernel): Promise<BootStory> {
  const { space, autocon, sd } = kernel;
  const id = agnusId(space);
  const chipset = `id 0x${id.toString(16)}: ${describeChipset(id, space.read16(customChips.deniseId) & 0xff)}`;
  const root = await openDevice(kernel, rootSlice);
  const swap = await openDevice(kernel, swapSlice);
  const cards = [...sd.cards.map((card, number) => factsOf(card, number)), ...sd.refused.map((card) => factsOf(card))];
  const panic =
    root.errno === Errno.None
      ? undefined
      : `mount of root ${root.name} (0x${root.device.toString(16)}): open error ${errnoText(root.errno)}, then of NFS: errno ${Errno.NoNetworkRoot}; panic`;
  const lines = [
    `Chipset   ${chipset}; autocon: ${autocon.gate}, A3000 SCSI ${onboardLine(sd.cards, autocon.gate)}`,
    ...(cards.length === 0 ? ["Card      none: autocon found no controller"] : cards.map(cardLine)),
    `Root      ${deviceLine(root)}`,
    `Swap      ${deviceLine(swap)}`,
    ...(panic === undefined ? [] : [`Panic     ${panic}`]),
  ];
  return { chipset, gate: autocon.gate, cards, root, swap, ...(panic === undefined ? {} : { panic }), lines };
}

function factsOf({ type, base, index }: Card, card?: number): CardFacts {
  return { card, name: type.name, base, queue: `${type.functionName}(${index})` };
}

function cardLine({ card, name, base, queue }: CardFacts): string {
  const where = `${name} at 0x${base.toString(16).padStart(8, "0")}, ${queue}`;
  if (card === undefined) return `Card      refused: ${where}; there are numbers for two`;
  return `Card ${card}    ${where}; disks c${8 * card}d0 to c${8 * card + 7}d0`;
}

function onboardLine(cards: readonly Card[], gate: string): string {
  if (!cards.some(({ type }) => type.product === onboardScsiProduct)) return "not there";
  return gate === "stock" ? "taken to be there, nobody asked" : "there";
}

function deviceLine({ name, device, errno, blocks = 0, content }: OpenedDevice): string {
  const what = `${name} (0x${device.toString(16)})`;
  if (errno !== Errno.None) return `${what} does not open: error ${errnoText(errno)}`;
  return `${what} opens: ${blocks} blocks, ${content ?? "no file system that is known here"}`;
}

async function openDevice(kernel: AmixKernel, slice: AmixSlice): Promise<OpenedDevice> {
  const facts = { name: sliceName(slice), device: blockDevice(slice) };
  const errno = await kernel.disks.open(slice);
  const place = errno === Errno.None ? kernel.disks.placeOf(slice) : undefined;
  if (place === undefined) return { ...facts, errno };
  const content = await contentOf(kernel, slice);
  return { ...facts, errno, blocks: place.blocks, ...(content === undefined ? {} : { content }) };
}

async function contentOf(kernel: AmixKernel, slice: AmixSlice): Promise<string | undefined> {
  for (const { content, at, value } of magics) {
    const block = await readBlock(kernel, slice, Math.floor(at / amixBlock));
    if (block?.getUint32(at % amixBlock) === value) return content;
  }
  return undefined;
}

async function readBlock({ disks, dma }: AmixKernel, slice: AmixSlice, block: number): Promise<DataView | undefined> {
  const buffer = dma.allocate(amixBlock, amixBlock);
  try {
    const isRead = await disks.transfer({ ...slice, write: false, block, bcount: amixBlock, addr: buffer.address });
    return isRead ? new DataView(blockBytes(buffer).slice().buffer) : undefined;
  } finally {
    dma.free(buffer);
  }
}
