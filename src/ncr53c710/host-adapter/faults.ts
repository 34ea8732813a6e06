/** What a chip, a board or a target on its bus can do that makes no sense, each by name. */
import { DeviceError } from "../../errors/index.js";

/** Every fault that the driver tells apart, in words. */
export const adapterFaults = {
  "board-broken": "the board does not keep what is written to its registers",
  "illegal-instruction": "the chip found an illegal instruction in the driver's script",
  "bus-fault": "the chip could not reach memory that the driver gave it",
  watchdog: "the chip's watchdog found its bus stuck",
  "single-step": "the chip stopped after a step that nobody asked for",
  "gross-error": "REQ and ACK of a synchronous transfer do not match",
  "script-lost": "the chip stopped at a place that is not in the driver's script",
  "unknown-vector": "the script told something that it cannot tell now",
  "endless-interrupt": "the chip has an interrupt pending whatever is read",
  "odd-residue": "the chip has more left to move than it was given",
  "odd-phase": "the target asks for a phase that does not exist",
  "phase-order": "the target asks for a phase that does not belong there",
  "reselect-ids": "the ids on the bus at a reselection are not two, or not ours",
  "reselect-identify": "a target came back without IDENTIFY",
  "reselect-unknown": "a target came back that has no such command",
  "status-missing": "the target ended a command without a status",
  "sense-lost": "a unit returned CHECK CONDITION while the sense data of another one was to be asked for: that is lost",
  "message-order": "the target sent a message that does not belong there",
  "bus-dead": "one bus reset after the other brought no command to its end",
} as const satisfies Readonly<Record<string, string>>;

/** The name of a fault. */
export type AdapterFaultCode = keyof typeof adapterFaults;

/** The board, the chip or a target broke a rule. */
export class AdapterFault extends DeviceError {
  override readonly name = "AdapterFault";
  readonly code: AdapterFaultCode;

  constructor(code: AdapterFaultCode, detail?: string) {
    super(`${code}: ${adapterFaults[code]}${detail === undefined ? "" : `: ${detail}`}`);
    this.code = code;
  }
}
