/** The shape of the source tree: one-way imports, browser-safe rooms, doc comments, file sizes. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/** A room imports only from rooms before it in this list (docs/ARCHITECTURE.md has the same table). */
const rooms = [
  "errors",
  "bytes",
  "linux",
  "memory",
  "observe",
  "virtqueue",
  "pci",
  "zorro",
  "transport",
  "storage",
  "scsi",
  "packet",
  "virtio",
  "ncr53c710",
  "partition",
  "filesystem",
  "os",
  "machine",
  "platform",
  "testing",
  "web",
  "cli",
] as const;

/** What is Node's: everything else runs unchanged in a browser. */
const nodeOnly = ["linux/", "platform/", "cli/", "storage/file/"];
/** And this all the same, since it is the page's. */
const browserPlatform = "platform/v86/";
/** Parts of rooms that are entered by an index of their own. */
const innerRooms = [
  "storage/file",
  "platform/embedded",
  "platform/fs-uae",
  "platform/qemu",
  "platform/v86",
  "platform/vhost-user",
];
/** Rooms that an earlier room may use all the same: the loopback needs a platform, and only this one. */
const exceptions: Readonly<Record<string, readonly string[]>> = { testing: ["platform/embedded"] };
const lineLimit = 400;

interface SourceFile {
  /** From `src/`, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

function sourceFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (readdirSync(folder).includes("tsconfig.json")) return join(folder, "src");
    assert.notEqual(folder, dirname(folder), "no tsconfig.json above this test: set it up in the project");
  }
}

const root = sourceFolder();
const files: SourceFile[] = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => {
    const text = readFileSync(join(root, path), "utf8");
    return { path: path.split(sep).join("/"), text, lines: text.split("\n") };
  })
  .sort((a, b) => (a.path < b.path ? -1 : 1));
const sources = files.filter(({ path }) => !path.endsWith(".test.ts"));

/** The source without comments and without the contents of strings and templates, line by line. */
function bare(text: string): string {
  return text.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g,
    (found) => found.replace(/[^\n]/g, " "),
  );
}

/** Module names that a file imports or exports from. */
function importsOf({ text }: SourceFile): string[] {
  const withoutComments = text.replace(/\/\*[\s\S]*?\*\//g, "");
  const names =
    /(?:^|\n)\s*(?:import|export)\b[^"';]*?from\s*"([^"]+)"|(?:^|\n)\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"/g;
  return [...withoutComments.matchAll(names)].map((match) => match[1] ?? match[2] ?? match[3]);
}

function roomOf(path: string): string {
  return path.split("/")[0];
}

/** Fails with one line for each problem. */
function report(problems: readonly string[]): void {
  assert.equal(problems.length, 0, `\n${problems.join("\n")}\n`);
}

/** What is wrong with one import, or undefined. */
function importProblem(file: SourceFile, name: string): string | undefined {
  if (!name.startsWith(".")) return undefined;
  const target = relative(root, resolve(root, dirname(file.path), name))
    .split(sep)
    .join("/");
  if (!target.endsWith(".js")) return `${file.path}: "${name}" does not end in .js`;
  const [from, to] = [roomOf(file.path), roomOf(target)];
  if (target.startsWith("../")) return `${file.path}: "${name}" leaves src/`;
  if (from === to) return undefined;
  const inner = innerRooms.find((room) => target === `${room}/index.js`);
  if (target !== `${to}/index.js` && inner === undefined) return `${file.path}: "${name}" goes past ${to}/index.js`;
  const order = rooms as readonly string[];
  if (order.indexOf(to) < 0) return `${file.path}: room ${to} is not in the table`;
  const allowed = exceptions[from];
  if (to === "platform" && allowed !== undefined) {
    return inner !== undefined && allowed.includes(inner) ? undefined : `${file.path}: ${from} may not use ${target}`;
  }
  return order.indexOf(to) < order.indexOf(from) ? undefined : `${file.path}: room ${from} comes before room ${to}`;
}

test("the test looks at the project's sources", () => {
  assert.ok(sources.length > 100);
  assert.ok(importsOf(sources.find(({ path }) => path === "virtqueue/split-device.ts") as SourceFile).length > 5);
});

test("every folder of src/ is a room of the table", () => {
  const folders = new Set(files.map(({ path }) => roomOf(path)));
  report([...folders].filter((folder) => !(rooms as readonly string[]).includes(folder)));
});

test("rooms import only from rooms before them, through the other room's index", () => {
  report(
    sources.flatMap((file) =>
      importsOf(file).flatMap((name) => {
        const problem = importProblem(file, name);
        return problem === undefined ? [] : [problem];
      }),
    ),
  );
});

test("no room imports itself round a circle of its index", () => {
  report(
    sources
      .filter(({ path }) => !path.endsWith("index.ts"))
      .flatMap((file) =>
        importsOf(file)
          .filter((name) => name === "./index.js")
          .map(() => `${file.path} imports its own room's index`),
      ),
  );
});

test("the import rule finds what it is for", () => {
  const file = (path: string): SourceFile => ({ path, text: "", lines: [] });
  assert.match(importProblem(file("memory/x.ts"), "../virtqueue/index.js") ?? "", /memory comes before room virtqueue/);
  assert.match(importProblem(file("virtqueue/x.ts"), "../memory/dma.js") ?? "", /goes past memory/);
  assert.match(importProblem(file("virtqueue/x.ts"), "../memory/index") ?? "", /does not end in .js/);
  assert.match(importProblem(file("testing/x.ts"), "../platform/qemu/index.js") ?? "", /may not use/);
  assert.equal(importProblem(file("virtio/scsi/x.ts"), "../../scsi/index.js"), undefined);
  assert.deepEqual(importsOf({ ...file("x"), text: 'import {\n  a,\n} from "./a.js";\nexport * from "./b.js";\n' }), [
    "./a.js",
    "./b.js",
  ]);
});

test("browser-safe rooms use nothing of Node's: no node: import, package, Buffer, process, require, setImmediate", () => {
  const problems: string[] = [];
  for (const file of sources) {
    if (nodeOnly.some((folder) => file.path.startsWith(folder)) && !file.path.startsWith(browserPlatform)) continue;
    for (const name of importsOf(file)) if (!name.startsWith(".")) problems.push(`${file.path}: imports "${name}"`);
    for (const [index, line] of bare(file.text).split("\n").entries()) {
      const found = line.match(
        /(?<![.\w$#-])(process\.|Buffer\b|require\(\s*\)|setImmediate\b|__dirname\b|__filename\b)/,
      );
      if (found !== null) problems.push(`${file.path}:${index + 1}: uses ${found[1]}`);
    }
  }
  report(problems);
});

test("nothing is exported as default", () => {
  report(sources.filter(({ text }) => /^export default\b/m.test(bare(text))).map(({ path }) => path));
});

/** `GuestMemory` for `memory/guest-memory.ts`: the comment at the head of a file is that symbol's. */
function mainSymbol(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1, -".ts".length);
  return name.replaceAll("-", "").toLowerCase();
}

test("every exported symbol has a doc comment", () => {
  const problems: string[] = [];
  for (const { path, lines } of sources) {
    const headed = lines[0].startsWith("/**") ? mainSymbol(path) : "";
    for (const [index, line] of lines.entries()) {
      const found = line.match(/^export (?:abstract |async )?(?:function\*?|class|const|interface|type|let) (\w+)/);
      if (found === null) continue;
      const name = found[1];
      if (name.toLowerCase() === headed) continue;
      const before = lines[index - 1]?.trim() ?? "";
      const isDocumented = before.endsWith("*/");
      const isTypeOf = /^export type (\w+) = .*typeof \1\b/.test(line);
      if (!isDocumented && !isTypeOf) problems.push(`${path}:${index + 1}: ${name}`);
    }
  }
  report(problems);
});

test(`no source file is longer than ${lineLimit} lines`, () => {
  report(
    files
      .filter(({ lines }) => lines.length - 1 > lineLimit)
      .map(({ path, lines }) => `${path}: ${lines.length - 1} lines`),
  );
});

test("file names are in kebab case and say what is inside", () => {
  const empty = /(^|\/)(utils?|misc|common|helpers?|types)\.ts$/;
  report(
    files
      .map(({ path }) => path)
      .filter((path) => empty.test(path) || !/^[a-z0-9/-]+(\.test)?\.ts$/.test(path.replace(/^src\//, ""))),
  );
});
