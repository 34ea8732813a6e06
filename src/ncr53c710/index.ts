/** The NCR 53C710 SCSI I/O processor: SCRIPTS tools, the chip's device half, and the A4091 board that carries it. */

export * from "./a4091/board.js";
export * from "./a4091/rom.js";
export * from "./chip/chip.js";
export type { EngineInspector, EngineState } from "./chip/engine.js";
export * from "./chip/host-bus.js";
export * from "./chip/options.js";
export * from "./chip/scsi-wire.js";
export * from "./debugger/describe-stop.js";
export * from "./debugger/scripts-debugger.js";
export * from "./host-adapter/adapter.js";
export { AdapterRequest } from "./host-adapter/adapter-request.js";
export * from "./host-adapter/contract.js";
export * from "./host-adapter/faults.js";
export * from "./host-adapter/find-boards.js";
export {
  type AdapterClock,
  type AdapterPlatform,
  type AdapterStage,
  adapterStages,
  type HostAdapterOptions,
} from "./host-adapter/options.js";
export { scriptSource } from "./host-adapter/script-source.js";
export * from "./registers.js";
export * from "./scripts/assembler.js";
export * from "./scripts/diagnostics.js";
export * from "./scripts/dialect.js";
export * from "./scripts/disassembler.js";
export * from "./scripts/family.js";
export * from "./scripts/instruction-set.js";
export * from "./scripts/listing.js";
export * from "./scripts/output.js";
export * from "./scripts/program.js";
export * from "./scripts/read-words.js";
export type { DefinedSymbol, Label } from "./scripts/symbols.js";
export * from "./target/attach-scsi-bus.js";
export * from "./target/messages.js";
export * from "./target/phase-target.js";
export * from "./target/target-options.js";
