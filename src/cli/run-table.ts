/** The report of `ringside run` for people. */
import { formatFacts } from "./function-facts.js";
import type { AdapterReport, PartitionReport, RunReport, UnitReport } from "./run-report.js";
import { type Column, formatRate, formatSize, formatTable, printable } from "./table.js";

/** What the table says besides the report itself. */
export interface TableContext {
  /** The board's title. */
  readonly title: string;
  /** What the operating system does at its start, a line each. */
  readonly story?: readonly string[];
  /** Writes went to the images. */
  readonly write: boolean;
}

const right = (title: string): Column => ({ title, right: true });
const left = (title: string): Column => ({ title });

/** The whole report, a line each. */
export function formatRun(report: RunReport, context: TableContext): string[] {
  const lines = [`Machine   ${report.machine}: ${context.title}`, `Platform  ${report.platform}`];
  if (report.os !== undefined) lines.push(`Face      ${report.os}, ${report.profile}`);
  lines.push(...(context.story ?? []));
  if (report.qemu !== undefined) lines.push(`QEMU      ${report.qemu}`);
  for (const adapter of report.adapters) lines.push(...formatAdapter(adapter));
  const units = report.adapters.flatMap((adapter) => adapter.units);
  lines.push("", ...formatUnits(units));
  lines.push("", ...units.flatMap(formatPartitions));
  lines.push("", ...formatVerification(units, context.write));
  lines.push("", `Seed      ${report.seed} (--seed ${report.seed} chooses the same places again)`);
  return lines;
}

function formatAdapter(adapter: AdapterReport): string[] {
  const interrupts = {
    msix: "MSI-X",
    "msix-shared": "shared MSI-X",
    intx: "INTx",
    line: "its own line",
    int2: "INT2",
    none: "no interrupts (polled)",
  };
  return [
    `Adapter   ${adapter.kind} at ${adapter.place}, ${adapter.transport}, ${interrupts[adapter.interrupts]}`,
    ...(adapter.features.length === 0 ? [] : [`Features  ${adapter.features.join(" ")}`]),
    ...(adapter.facts === undefined ? [] : [`Facts     ${printable(formatFacts(adapter.facts))}`]),
  ];
}

function formatUnits(units: readonly UnitReport[]): string[] {
  const columns = [right("Unit"), left("Target/LUN"), left("Vendor"), left("Product"), left("Rev"), left("Serial")];
  columns.push(right("Size"), right("Blocks"), left("Image"));
  const rows = units.map((unit) => [
    `${unit.unit}`,
    `${unit.target}/${unit.lun}`,
    ...[unit.vendor, unit.product, unit.revision, unit.serial ?? "-"].map((text) => printable(text) || "-"),
    formatSize(unit.blocks * unit.blockSize),
    `${unit.blocks} × ${unit.blockSize}`,
    `${printable(unit.image ?? "(sample disk)")}${unit.cd === true ? " (CD-ROM)" : unit.readOnly ? " (read-only)" : ""}`,
  ]);
  return formatTable(columns, rows);
}

function formatPartitions(unit: UnitReport): string[] {
  const title = `Unit ${unit.unit}: ${unit.scheme === "none" ? "no partition table" : `${unit.scheme.toUpperCase()} partitions`}`;
  const columns = [left("  Name"), left("Type"), right("First block"), right("Blocks"), right("Size"), left("")];
  const row = (partition: PartitionReport) => [
    `  ${printable(partition.name)}`,
    printable(partition.type),
    `${partition.firstBlock}`,
    `${partition.blocks}`,
    formatSize(partition.blocks * unit.blockSize),
    partition.bootable ? "bootable" : "",
  ];
  const notes = unit.notes.map((note) => `  Note: ${printable(note)}`);
  return [title, ...formatTable(columns, unit.partitions.map(row)), ...notes];
}

function formatVerification(units: readonly UnitReport[], write: boolean): string[] {
  const columns = [right("Unit"), left("Verified"), right("Read"), right("IOPS"), right("Written"), right("IOPS")];
  const rows = units.map(({ unit, readOnly, cd, verification }) => {
    const { places, bytes, readBytesPerSecond, readIops, writeBytesPerSecond, writeIops = 0 } = verification;
    const how = readOnly ? "writes are refused" : write ? "written, put back" : "written in scratch space";
    const done = cd === true ? "read" : `read, ${how}`;
    return [
      `${unit}`,
      `${formatSize(bytes)} in ${places} places: ${done}`,
      formatRate(readBytesPerSecond),
      `${Math.round(readIops)}`,
      writeBytesPerSecond === undefined ? "-" : formatRate(writeBytesPerSecond),
      writeBytesPerSecond === undefined ? "-" : `${Math.round(writeIops)}`,
    ];
  });
  const hashes = units.flatMap(({ unit, sha256 }) =>
    sha256 === undefined ? [] : [`${`${unit}`.padStart(4)}  ${sha256}`],
  );
  return [...formatTable(columns, rows), ...(hashes.length > 0 ? ["", "Unit  SHA-256", ...hashes] : [])];
}
