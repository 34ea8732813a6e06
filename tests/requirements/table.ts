/** Finds the tests that name a requirement, and writes the table of both: docs/REQUIREMENTS.md. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { deviceParts } from "./device-list.js";
import { commonParts, type RequirementPart } from "./list.js";
import { scsiAndMmioParts } from "./scsi-list.js";

/** All parts, in the order of the specification. */
export const requirementParts: readonly RequirementPart[] = [...commonParts, ...deviceParts, ...scsiAndMmioParts];

/** A test by its file, from the project's folder, and its name as it stands in the source; `…` where a value goes in. */
export interface NamedTest {
  readonly path: string;
  readonly name: string;
}

/** The project's folder. @throws Error when this file lies in no project. */
export function projectFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (readdirSync(folder).includes("tsconfig.json")) return folder;
    if (folder === dirname(folder)) throw new Error("no tsconfig.json above this file: it belongs into the project");
  }
}

/** Names of the tests that a source text has. */
export function testNamesOf(text: string): string[] {
  const calls = /\btest\(\s*(?:\w+\(\s*)?(?:"((?:\\.|[^"\\])*)"|`((?:\\.|[^`\\])*)`)/g;
  return [...text.matchAll(calls)].map(([, plain, template]) => plain ?? template.replace(/\$\{[^}]*\}/g, "…"));
}

/** Ids in a name: `R-304`, and all of `R-304 to R-306`. */
export function idsIn(name: string): string[] {
  return [...name.matchAll(/\bR-(\d{3,4})(?: to R-(\d{3,4}))?/g)].flatMap(([, first, last = first]) =>
    Array.from({ length: Number(last) - Number(first) + 1 }, (_, step) => `R-${Number(first) + step}`),
  );
}

/** The tests of `src/` and `tests/` by the ids that their names have. */
export function testsById(root: string): Map<string, NamedTest[]> {
  const tests = new Map<string, NamedTest[]>();
  for (const folder of ["src", "tests"]) {
    const paths = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
    for (const path of paths.filter((one) => one.endsWith(".test.ts")).sort()) {
      const file = `${folder}/${path.split(sep).join("/")}`;
      for (const name of testNamesOf(readFileSync(join(root, folder, path), "utf8"))) {
        for (const id of new Set(idsIn(name))) tests.set(id, [...(tests.get(id) ?? []), { path: file, name }]);
      }
    }
  }
  return tests;
}

/** The whole document. */
export function requirementsTable(tests: ReadonlyMap<string, readonly NamedTest[]>): string {
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
  const testCell = ({ path, name }: NamedTest) =>
    `${cell(name)} ([${path.slice(path.lastIndexOf("/") + 1)}](../${path}))`;
  const lines = [
    "# Requirements of virtio 0.9.5, and their tests",
    "",
    "What the specification asks of drivers and devices, rule by rule, and the tests whose names have the rule's number.",
    "`npm run requirements` writes this file; a test fails when a rule has no test or when this file is not up to date.",
    "In a test's name, `A-nn` is a place where the specification's text says two things or is wrong.",
  ];
  for (const [index, { title, rules }] of requirementParts.entries()) {
    lines.push("", `## ${index + 1}. ${title}`, "", "| rule | who | what | tests |", "|---|---|---|---|");
    for (const [id, half, text] of rules) {
      const cells = (tests.get(id) ?? []).map(testCell);
      lines.push(`| ${id} | ${half} | ${cell(text)} | ${cells.length > 0 ? cells.join("<br>") : "none"} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}
