/** The command line's grammar: commands, options and their help. Carrying out is in one module for each command. */
import { Argument, Command, Option } from "commander";
import { boards } from "../machine/index.js";
import { faces, profileNames } from "./faces.js";
import type { Interruption } from "./interruption.js";
import { everyTrace, parseByteCount, parseRamSize, parseSeed, parseTrace } from "./option-values.js";
import { platformNames, usualMachine } from "./platform.js";

const exitStatuses = `
Exit status: 0 done; 1 the work failed; 2 the call was wrong; 130 called off with Ctrl-C.
Errors are one line on standard error. RINGSIDE_DEBUG=1 adds where they come from.`;

const runHelp = `
An image is a raw disk image or block device, with settings after commas:
  target=N,lun=N   its place; default 0/0, 1/1, 2/2 ... in the order given
  block-size=N     bytes of a block, a power of two within 512...65536; default 512
  ro               a write-protected unit: writes must be refused
  cd               the medium of a CD-ROM drive: 2048-byte blocks, only read
A comma that belongs to the file name is written \\, (in a shell: 'a\\,b.img').

Every unit is verified: its first and last blocks and 16 MiB of random places are read through the driver and compared
with the image, then written, read back and compared. Writes go to a scratch overlay, and no image changes. With --write
they go to the image itself, and what was there is put back and compared, also after Ctrl-C.

Examples:
  ringside run                               makes a sample disk, and removes it afterwards
  ringside run disk.img                      on our own Pegasos II
  ringside run --machine pc disk.img data.img,target=0,lun=1,block-size=4096
  ringside run --platform qemu --machine pc --interrupts msix disk.img
  ringside run --machine riscv-virt disk.img   virtio-blk over MMIO
  ringside run --machine pc --device blk disk.img other.img
  ringside run disk.img debian.iso,cd
  ringside run --os xv6 fs.img --ls /
  ringside run --json --hash disk.img,ro
  ringside run --trace=scsi disk.img 2>commands.txt
${exitStatuses}`;

const scsiHelp = `
The CDB is given in hexadecimal: 12 00 00 00 24 00, or 120000002400. The image takes settings as for run, and writes go
to a scratch overlay unless --write is given. Power-on unit attentions are read first, so that they do not answer.

Examples:
  ringside scsi disk.img -- 12 00 00 00 24 00                INQUIRY
  ringside scsi disk.img -- 25 00 00 00 00 00 00 00 00 00    READ CAPACITY(10)
  ringside scsi disk.img -o block0 -- 28 00 00 00 00 00 00 00 01 00
  ringside scsi disk.img --data-out block0 -- 2a 00 00 00 00 05 00 00 01 00
  ringside scsi disk.img --to 0/3 -- a0 00 00 00 00 00 00 00 10 00 00 00

Exit status: 0 GOOD; 1 any other status, or the work failed; 2 the call was wrong.`;

/** What the commands need of the process. */
export interface ProgramContext {
  readonly version: string;
  readonly interruption: Interruption;
}

function platformOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--machine <name>", "the board")
        .choices(Object.keys(boards))
        .default(undefined, `${usualMachine}, or the face's own`),
    )
    .addOption(
      new Option("--platform <name>", "our own device halves, or QEMU's").choices(platformNames).default("embedded"),
    )
    .option("--qemu <path>", "the QEMU to use with --platform qemu; default: the first that has the machine")
    .addOption(
      new Option("--ram <size>", "memory of the machine, such as 64M; default: the board's").argParser(parseRamSize),
    )
    .addOption(
      new Option("--registers <kind>", "virtio's register interface")
        .choices(["auto", "legacy", "modern"])
        .default("auto"),
    )
    .addOption(
      new Option("--interrupts <kind>", "interrupts to try first; none polls")
        .choices(["msix", "intx", "none"])
        .default("msix"),
    )
    .option("--write", "let writes reach the images", false)
    .addOption(new Option("--format <format>", "insist that images are raw, whatever they look like").choices(["raw"]))
    .addOption(
      new Option("--trace [categories]", "print registers, ring or scsi (or all) to standard error")
        .preset(everyTrace)
        .argParser(parseTrace),
    );
}

/** Builds the parser. Its actions reject with what went wrong. */
export function buildProgram({ version, interruption }: ProgramContext): Command {
  const program = new Command("ringside")
    .description("Runs storage adapters of virtual machines: drivers and devices, both sides of the ring.")
    .version(version, "--version", "print the version")
    .helpOption("--help", "print help")
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .addHelpText("after", `\nringside COMMAND --help tells more, with examples.\n${exitStatuses}`);

  platformOptions(
    program
      .command("run")
      .description("bring up a machine, find adapters, units and partitions, verify every unit")
      .argument("[image...]", "disk images; without one, a sample disk"),
  )
    .addOption(
      new Option("--device <kind>", "virtio-blk, an adapter for each image, or virtio-scsi, one for all").choices([
        "blk",
        "scsi",
      ]),
    )
    .option(
      "--virtio-mmio <window>",
      "put adapters into a virtio-mmio window: SIZE@BASE:IRQ[:ID], such as 4K@0x20000000:40; may be repeated",
      (window: string, windows: string[]) => [...windows, window],
      [] as string[],
    )
    .addOption(new Option("--os <face>", "work through an operating system's driver").choices(Object.keys(faces)))
    .addOption(new Option("--profile <name>", "as the face was, or as it should be (default)").choices(profileNames))
    .option("--ls <path>", "list a directory, through a face that reads a file system")
    .option("--cat <path>", "print a file, through a face that reads a file system")
    .option("--hash", "print the SHA-256 of every unit, read through the driver", false)
    .option("--json", "print one JSON object for programs", false)
    .addOption(new Option("--seed <number>", "of the random places; default: a new one each time").argParser(parseSeed))
    .addHelpText("after", runHelp)
    .action(async (images, options) => (await import("./run.js")).run(images, options, interruption));

  platformOptions(
    program
      .command("scsi")
      .description("send one SCSI command through driver and device; print status, sense and data")
      .argument("<image>", "a disk image")
      .addArgument(new Argument("<cdb...>", "the command's bytes, in hexadecimal")),
  )
    .option("--to <target/lun>", "send it there instead of to the image's unit")
    .addOption(
      new Option("--data-in <bytes>", "room for data; default: what the CDB asks for").argParser(parseByteCount),
    )
    .option("--data-out <file|hex>", "data to send: a file, or bytes in hexadecimal")
    .option("-o, --output <file>", "write the data to a file as it is")
    .option("--keep-attention", "leave power-on unit attentions to the command", false)
    .option("--json", "print one JSON object for programs", false)
    .addHelpText("after", scsiHelp)
    .action(async (image, bytes, options) => (await import("./scsi.js")).scsi(image, bytes, options, interruption));

  program
    .command("bench")
    .description("run the benchmarks of the README's table")
    .argument("[name...]", "benchmarks to run; default: all")
    .option("--list", "print the names and what they measure", false)
    .action(async (names, options) => (await import("./bench.js")).bench(names, options, interruption));
  return program;
}
