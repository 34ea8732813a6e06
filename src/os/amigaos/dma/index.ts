/** A unit's memory path: DMA lists, the bounce ring, slots. */
export * from "./bounce-buffer.js";
export * from "./data-path.js";
export * from "./dma-list.js";
export * from "./dma-mapper.js";
export * from "./transfer-slot.js";
