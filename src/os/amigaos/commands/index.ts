/** Commands of the device: numbers, the table, and what is pure of their answers. */
export * from "./behaviour.js";
export * from "./capacity.js";
export * from "./change-commands.js";
export * from "./command-list.js";
export * from "./command-numbers.js";
export * from "./command-table.js";
export * from "./defects.js";
export * from "./geometry.js";
export * from "./io-errors.js";
export * from "./local-answers.js";
export { DriveType } from "./medium-commands.js";
export * from "./scsi-cmd.js";
export * from "./scsi-rules.js";
