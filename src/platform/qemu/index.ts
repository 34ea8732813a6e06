export * from "./drives.js";
export * from "./empty-qcow2.js";
export * from "./find-qemu.js";
export * from "./launch.js";
export * from "./machine.js";
export * from "./qemu-error.js";
export * from "./qmp.js";
export * from "./qtest.js";
