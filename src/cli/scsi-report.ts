/** How `ringside scsi` tells of a command's end: for programs, and for people. */
import { hexBytes } from "../bytes/index.js";
import {
  describeCdb,
  describeSense,
  lunOf,
  ScsiStatus,
  statusName,
  targetOf,
  type UnitAddress,
} from "../scsi/index.js";
import { type CommandResult, describeResult, responseName, ScsiResponse } from "../virtio/index.js";
import { formatTable } from "./table.js";

/** The object that `--json` prints. Bytes are hexadecimal digits. */
export interface ScsiReport {
  readonly target: number;
  readonly lun: number;
  readonly cdb: string;
  readonly command: string;
  /** virtio-scsi response by name: `Ok`, `BadTarget`. */
  readonly response: string;
  /** SCSI status; missing unless the response is Ok. */
  readonly status?: number;
  readonly statusName?: string;
  /** Empty without sense data. */
  readonly sense: string;
  readonly senseText?: string;
  /** Bytes of the data buffers that were not used. */
  readonly residual: number;
  readonly data: string;
  readonly succeeded: boolean;
  /** Response, or status and sense, in words. */
  readonly outcome: string;
  /** The QEMU command that was started, for a shell. */
  readonly qemu?: string;
}

export function scsiReport(cdb: Uint8Array, address: UnitAddress, result: CommandResult, data: Uint8Array): ScsiReport {
  const isOk = result.response === ScsiResponse.Ok;
  return {
    target: targetOf(address),
    lun: lunOf(address),
    cdb: hexBytes(cdb, ""),
    command: describeCdb(cdb),
    response: responseName(result.response),
    ...(isOk ? { status: result.status, statusName: statusName(result.status) } : {}),
    sense: hexBytes(result.sense, ""),
    ...(result.sense.length > 0 ? { senseText: describeSense(result.sense) } : {}),
    residual: result.residual,
    data: hexBytes(data, ""),
    succeeded: isOk && (result.status === ScsiStatus.Good || result.status === ScsiStatus.ConditionMet),
    outcome: describeResult(result),
  };
}

/** The report for people, a line each. */
export function formatScsi(report: ScsiReport, output: string | undefined): string[] {
  const length = report.data.length / 2;
  const rows = [
    ...(report.qemu === undefined ? [] : [["QEMU", report.qemu]]),
    ["Unit", `target ${report.target} lun ${report.lun}`],
    ["Command", report.command],
    ["Response", report.response],
    ...(report.statusName === undefined ? [] : [["Status", report.statusName]]),
    ...(report.senseText === undefined ? [] : [["Sense", report.senseText]]),
    ["Data", `${length} byte${length === 1 ? "" : "s"}${output === undefined ? "" : ` to ${output}`}`],
  ];
  const [, ...lines] = formatTable([{ title: "" }, { title: "" }], rows);
  return output === undefined ? [...lines, ...hexDump(report.data)] : lines;
}

const rowBytes = 16;

/** Offset, bytes, characters: 16 bytes a line, of hexadecimal digits. */
function hexDump(digits: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < digits.length; at += rowBytes * 2) {
    const pairs = digits.slice(at, at + rowBytes * 2).match(/../g) ?? [];
    const characters = pairs.map((pair) => {
      const code = Number.parseInt(pair, 16);
      return code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : ".";
    });
    const offset = (at / 2).toString(16).padStart(8, "0");
    lines.push(`${offset}  ${pairs.join(" ").padEnd(rowBytes * 3 - 1)}  ${characters.join("")}`);
  }
  return lines;
}
