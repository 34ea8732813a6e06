/** The command line's grammar: commands, options and their help. Carrying out is in one module for each command. */
import { Argument, Command, Option } from "commander";
import { boards, zorroBoards } from "../machine/index.js";
import { amixBoardNames, chipsetGates } from "./amix-options.js";
import { attachActions, benchOps } from "./attach-options.js";
import { addBootCommand } from "./boot-command.js";
import { functionKinds, parseFunctionKinds } from "./extra-functions.js";
import { faces, profileNames } from "./faces.js";
import type { Interruption } from "./interruption.js";
import {
  everyTrace,
  parseByteCount,
  parseBytesWithin,
  parseChipId,
  parseRamSize,
  parseSeconds,
  parseSeed,
  parseTrace,
  parseWithin,
} from "./option-values.js";
import { platformNames, usualMachine } from "./platform.js";
import { addScriptsCommand } from "./scripts.js";

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
  ringside run --machine a4000 disk.img        an A4091 on Zorro III
  ringside run --machine pc --device blk disk.img other.img
  ringside run disk.img debian.iso,cd
  ringside run --with net,console,entropy,balloon disk.img
  ringside run --os xv6 fs.img --ls /
  ringside run --os storport --com1 messages.txt disk.img
  ringside run --os amix disk.img --ls c8d0s0:/
  ringside run --os amix --machine a3000 --boards a4091 root.img data.img,target=8
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

const serveHelp = `
virtio-blk serves one image. With --device scsi there may be many, at the places that they say (see ringside run --help),
and --control takes images in and out while the virtual machine runs. Writes go to the images; a write-protected one is
written IMAGE,ro. The server ends on Ctrl-C or SIGTERM, when what was begun is done, with exit status 0.

Examples:
  ringside serve disk.img --socket /tmp/disk.sock
  ringside serve --device scsi system.img data.img,target=3 debian.iso,cd --socket /tmp/scsi.sock --control /tmp/control
  ringside serve --socket /tmp/disk.sock --print-qemu
${exitStatuses}`;

const attachHelp = `
info tells what the disk says of itself. read copies it to --output, or to a pipe; write copies --input to it. verify reads
places twice and compares; with --write it writes patterns too, and puts back what was there. bench measures one load.

Examples:
  ringside attach --socket /tmp/disk.sock info
  ringside attach --socket /tmp/disk.sock read --length 1M | hexdump -C
  ringside attach --socket /tmp/disk.sock bench --op randread --block-size 4k --depth 32 --seconds 5
  ringside attach --socket /tmp/scsi.sock --device scsi --to 3/0 verify --write
${exitStatuses}`;

/** What the commands need of the process. */
export interface ProgramContext {
  readonly version: string;
  readonly interruption: Interruption;
}

function platformOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--machine <name>", "the board")
        .choices([...Object.keys(boards), ...Object.keys(zorroBoards)])
        .default(undefined, `${usualMachine}, or the face's own`),
    )
    .addOption(
      new Option("--platform <name>", "our own device halves, QEMU's, or fs-uae's")
        .choices(platformNames)
        .default("embedded"),
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
    .option("--packed", "have QEMU's devices offer packed rings; ours do by themselves")
    .option("--no-packed", "have devices offer split rings only")
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
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print the help of a command")
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
    .addOption(
      new Option(
        "--with <functions>",
        `plug in other functions too: ${functionKinds.join(", ")}, separated by commas`,
      ).argParser(parseFunctionKinds),
    )
    .addOption(new Option("--os <face>", "work through an operating system's driver").choices(Object.keys(faces)))
    .addOption(new Option("--profile <name>", "as the face was, or as it should be (default)").choices(profileNames))
    .addOption(
      new Option("--debug-level <number>", "a face's own messages: 0 none to 5 all").argParser(parseWithin(0, 5)),
    )
    .option("--com1 <file>", "where they go, as to a serial port; default: standard error")
    .option("--ls <path>", "list a directory, through a face that reads a file system")
    .option("--cat <path>", "print a file, through a face that reads a file system")
    .option("--boards <names>", `Amix: Zorro boards: none, or ${amixBoardNames.join(", ")}, separated by commas`)
    .addOption(
      new Option("--autocon <how>", "Amix: how the kernel decides about the A3000's SCSI").choices(chipsetGates),
    )
    .addOption(new Option("--chipset <id>", "Amix: the Agnus id in VPOSR, such as 0x30").argParser(parseChipId))
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
    .command("serve")
    .description("serve images to a virtual machine over vhost-user; print the QEMU line that attaches them")
    .argument("[image...]", "disk images")
    .option("--socket <path>", "the socket that the virtual machine connects to")
    .option("--socket-path <path>", "the same")
    .addOption(new Option("--fd <number>", "a socket that listens already").argParser(parseWithin(0, 1_000_000)))
    .option("--blk-file <path>", "another name of the image, for virtio-blk")
    .addOption(new Option("--device <kind>", "what to be").choices(["blk", "scsi"]).default("blk"))
    .addOption(new Option("--queues <number>", "request queues").argParser(parseWithin(1, 64)).default(1))
    .option("--read-only", "refuse writes to every image", false)
    .addOption(new Option("--format <format>", "insist that images are raw, whatever they look like").choices(["raw"]))
    .option("--direct", "go past the host's page cache (O_DIRECT)", false)
    .option("--no-mapped", "use system calls only, also for what the page cache has")
    .addOption(
      new Option("--poll <microseconds>", "look for more requests so long after work before sleeping")
        .argParser(parseWithin(0, 1000))
        .default(20),
    )
    .addOption(
      new Option(
        "--threads <number>",
        "threads that serve the queues of virtio-blk; 0 is none (default: docs/SERVE.md)",
      ).argParser(parseWithin(0, 64)),
    )
    .option("--packed", "ask for packed rings in the QEMU line; they are offered anyway")
    .option("--no-packed", "offer split rings only")
    .option("--control <path>", "a socket for adding and removing images, with --device scsi (docs/SERVE.md)")
    .option("--reservations <folder>", "keep persistent reservations there, with --device scsi")
    .option("--print-qemu", "print the QEMU line that attaches the socket, and end", false)
    .option("--print-capabilities", "print what the back end can do, for managing software, and end", false)
    .addHelpText("after", serveHelp)
    .action(async (images, options) => (await import("./serve.js")).serve(images, options, interruption));

  program
    .command("attach")
    .description("work on the disk behind a vhost-user socket, without a virtual machine")
    .addArgument(new Argument("<action>", "what to do").choices(attachActions))
    .requiredOption("--socket <path>", "the server's socket")
    .addOption(new Option("--device <kind>", "what the server is").choices(["blk", "scsi"]).default("blk"))
    .option("--packed", "insist on packed rings; default: when they are offered")
    .option("--no-packed", "use split rings")
    .option("--to <target/lun>", "the unit, with --device scsi; default: the first one")
    .addOption(new Option("--queues <number>", "request queues to use").argParser(parseWithin(1, 64)).default(1))
    .addOption(
      new Option("--wait <seconds>", "wait so long for the server").argParser(parseSeconds(0, 3600)).default(0),
    )
    .addOption(
      new Option("--offset <bytes>", "read, write: where to start").argParser(parseBytesWithin(0, 2 ** 53)).default(0),
    )
    .addOption(new Option("--length <bytes>", "read, write: how much").argParser(parseBytesWithin(0, 2 ** 53)))
    .option("-o, --output <file>", "read: where to")
    .option("-i, --input <file>", "write: where from")
    .option("--write", "verify, bench: overwrite what the disk holds; verify puts it back", false)
    .addOption(new Option("--seed <number>", "verify, bench: of the random places").argParser(parseSeed))
    .addOption(new Option("--op <name>", "bench: the load").choices(benchOps).default("randread"))
    .addOption(
      new Option("--block-size <bytes>", "bench: of a request").argParser(parseBytesWithin(512, 2 ** 24)).default(4096),
    )
    .addOption(new Option("--depth <number>", "bench: requests at once").argParser(parseWithin(1, 1024)).default(32))
    .addOption(new Option("--seconds <number>", "bench: how long").argParser(parseSeconds(0.1, 86_400)).default(5))
    .option("--json", "print one JSON object for programs", false)
    .addHelpText("after", attachHelp)
    .action(async (action, options) => (await import("./attach.js")).attach(action, options, interruption));

  program
    .command("bench")
    .description("run the benchmarks, in a checkout of the project (docs/PERFORMANCE.md)")
    .argument("[name...]", "benchmarks to run; default: all")
    .option("--list", "print the names and what they measure", false)
    .action(async (names, options) => (await import("./bench.js")).bench(names, options, interruption));
  addBootCommand(program, interruption);
  addScriptsCommand(program, interruption);
  return program;
}
