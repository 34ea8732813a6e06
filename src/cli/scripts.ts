/** `ringside scripts`: the SCRIPTS tools of the 53C710, as commands. */
import { type Command, Option } from "commander";
import { chipNames, dialects } from "../ncr53c710/index.js";
import type { Interruption } from "./interruption.js";

const exitStatuses = `
Exit status: 0 done; 1 the work failed; 2 the call was wrong.
FILE may be - for standard input. Problems in a source are lines of file:line:column on standard error.`;

const runHelp = `
A source is assembled, patched for its address and run on a 53C710 with memory of its own. Images are targets, by
default 0, 1, 2 ... with LUN 0; they take settings as for run. Numbers may be written in hexadecimal with 0x.

Examples:
  ringside scripts run test.ss --trace
  ringside scripts run inquiry.ss --image disk.img --dsa 0x2000 --set 0x2000=00010000 --show 0x4000,36
  ringside scripts run loop.ss --break again --limit 100000

It ends at an INT, whose vector is printed: status 0. Any other end is status 1.${exitStatuses}`;

function sourceOptions(command: Command): Command {
  return command
    .addOption(new Option("--arch <chip>", "the chip until the source says ARCH").choices(chipNames).default("710"))
    .addOption(
      new Option("--dialect <name>", "write what another assembler writes")
        .choices(Object.keys(dialects))
        .default("ringside"),
    );
}

function collect(value: string, list: readonly string[]): readonly string[] {
  return [...list, value];
}

/** Adds `scripts assemble`, `scripts disassemble` and `scripts run`. Their actions reject with what went wrong. */
export function addScriptsCommand(program: Command, interruption: Interruption): void {
  const scripts = program
    .command("scripts")
    .description("assemble, disassemble and run SCRIPTS of the NCR 53C710")
    .helpCommand(false)
    .addHelpText("after", exitStatuses);
  sourceOptions(scripts.command("assemble").description("assemble a source").argument("<file>", "a SCRIPTS source"))
    .addOption(
      new Option("--format <format>", "one instruction a line in hexadecimal, arrays, or big-endian bytes")
        .choices(["hex", "ts", "c", "binary"])
        .default("hex"),
    )
    .option("-o, --output <file>", "write there instead of to standard output")
    .option("--listing <file>", "write a listing there too")
    .addHelpText("after", exitStatuses)
    .action(async (file, options) => (await import("./scripts-files.js")).assembleFile(file, options, interruption));
  scripts
    .command("disassemble")
    .description("make a source of words: hexadecimal text, an array in C or TypeScript, or bytes")
    .argument("<file>", "words")
    .addOption(new Option("--arch <chip>", "the chip").choices(chipNames).default("710"))
    .option("-o, --output <file>", "write there instead of to standard output")
    .addHelpText("after", exitStatuses)
    .action(async (file, options) => (await import("./scripts-files.js")).disassembleFile(file, options, interruption));
  sourceOptions(
    scripts
      .command("run")
      .description("run a source or words on a 53C710")
      .argument("<file>", "a SCRIPTS source or words"),
  )
    .option("--image <image>", "a disk on the bus; may be repeated", collect, [])
    .option("--write", "let writes reach the images", false)
    .addOption(new Option("--format <format>", "insist that images are raw, whatever they look like").choices(["raw"]))
    .option("--memory <bytes>", "memory from address 0 on", "0x100000")
    .option("--at <address>", "where the program is put", "0x1000")
    .option("--entry <place>", "a label, or an offset in the program, to start at", "0")
    .option("--dsa <address>", "value of DSA at the start", "0")
    .option("--set <address=hex>", "bytes to put into memory; may be repeated", collect, [])
    .option("--external <name=value>", "value of an external; may be repeated", collect, [])
    .option("--show <address,bytes>", "memory to print at the end; may be repeated", collect, [])
    .option("--break <place>", "a label or an offset to stop before; may be repeated", collect, [])
    .option("--step [count]", "carry out so many instructions, printing registers after each; default 1")
    .option("--trace", "print each instruction to standard error", false)
    .option("--limit <count>", "instructions after which to give up", "1000000")
    .option("--timeout <seconds>", "give up when SCRIPTS wait for so long", "5")
    .option("--json", "print one JSON object for programs", false)
    .addHelpText("after", runHelp)
    .action(async (file, options) => (await import("./scripts-run.js")).runScripts(file, options, interruption));
}
