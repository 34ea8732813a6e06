/** Text in aligned columns, and quantities for people. */

/** A column: its title, and whether its cells stand at the right. */
export interface Column {
  readonly title: string;
  readonly right?: boolean;
}

/** One line for the titles and one for each row; empty without rows. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, index) => Math.max(...lines.map((cells) => widthOf(cells[index]))));
  return lines.map((cells) =>
    cells
      .map((cell, index) => pad(cell, widths[index], columns[index].right ?? false))
      .join("  ")
      .trimEnd(),
  );
}

function widthOf(text: string): number {
  return [...text].length;
}

function pad(text: string, width: number, right: boolean): string {
  const space = " ".repeat(width - widthOf(text));
  return right ? space + text : text + space;
}

const binaryUnits = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `16 MiB`, `1.4 TiB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < binaryUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  const isWhole = Number.isInteger(value) || value >= 100;
  return `${isWhole ? Math.floor(value) : value.toFixed(1)} ${binaryUnits[unit]}`;
}

/** `812 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  const megabytes = bytesPerSecond / 1e6;
  return `${megabytes >= 10 ? Math.round(megabytes) : megabytes.toFixed(1)} MB/s`;
}

/** Text that came from a disk: what a terminal would take as a command is shown as `?`. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}
