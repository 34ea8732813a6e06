/** A listing: each source line with the words that it became, then the names. */
import { wordText } from "./output.js";
import type { AssembledProgram } from "./program.js";

/** The listing as text. Byte offsets and words are hexadecimal. */
export function listing(program: AssembledProgram): string {
  const { words, lines, sourceLines, symbols, labels, entries, labelPatches } = program;
  const out: string[] = [];
  let at = 0;
  for (const [index, text] of sourceLines.entries()) {
    const line = lines[at];
    if (line?.line !== index + 1) {
      out.push(`${" ".repeat(34)}${text}`.trimEnd());
      continue;
    }
    at++;
    const own = [...words.subarray(line.offset / 4, line.offset / 4 + line.length)].map(wordText);
    const offset = line.offset.toString(16).padStart(5, "0");
    out.push(`${offset}  ${own.slice(0, 3).join(" ").padEnd(26)} ${text}`.trimEnd());
    for (let more = 3; more < own.length; more += 3) out.push(`       ${own.slice(more, more + 3).join(" ")}`);
  }
  out.push("", "Names:");
  for (const { kind, name, value, uses } of symbols) {
    const where = uses.length === 0 ? "not used" : `words ${uses.map((use) => use.toString(16)).join(" ")}`;
    out.push(`  ${kind.padEnd(8)} ${name.padEnd(24)} ${wordText(value)}  ${where}`);
  }
  for (const { name, offset, line } of labels) {
    out.push(
      `  ${(entries.has(name) ? "entry" : "label").padEnd(8)} ${name.padEnd(24)} ${wordText(offset)}  line ${line}`,
    );
  }
  out.push("", `${lines.length} instructions, ${words.length * 4} bytes, ${labelPatches.length} label patches`);
  return `${out.join("\n")}\n`;
}
