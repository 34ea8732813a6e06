export * from "./scsi/index.js";
