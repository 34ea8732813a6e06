export * from "./a3000-scsi.js";
export * from "./interrupt-controller.js";
export * from "./machine.js";
export type { EmbeddedA4091Options } from "./zorro-slots.js";
