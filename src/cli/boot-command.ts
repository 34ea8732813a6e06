/** The grammar of `ringside boot`. */
import { type Command, Option } from "commander";
import { parseBootNetwork } from "./boot-network.js";
import type { Interruption } from "./interruption.js";
import { parseRamSize, parseSeconds, parseWithin } from "./option-values.js";

const bootHelp = `
A file that is a Linux kernel (bzImage) is started; all others are disks: write IMAGE[,ro][,block-size=N], with --device scsi
also target=N, lun=N and cd. Without a kernel the firmware boots from the first disk. Writes go to a scratch overlay, and no
image changes, unless --write is given.

The serial line is on the terminal, or on pipes. On a terminal every key goes to the guest: Ctrl-A X leaves. The PC ends when
the guest halts, and with a kernel when it restarts.

With --net user the PC has an adapter on a network of one host: 10.0.2.2, which gives it the address 10.0.2.15 by DHCP and answers
ping. Nothing of it leaves this machine, and ports lead in and out by its loopback addresses only:
  hostfwd=tcp:127.0.0.1:PORT-10.0.2.15:PORT    a port of this machine (0: a free one) leads to one of the PC's
  guestfwd=tcp:10.0.2.2:PORT-127.0.0.1:PORT    a port of 10.0.2.2 leads to one of this machine's
These addresses may be left out.

It needs the package v86 (optional: npm install v86) and the firmware of Debian's package seabios, or --bios and --vga-bios.

Examples:
  ringside boot disk.img                                      whatever boots from a disk
  ringside boot vmlinuz disk.img --initrd initrd --append "console=ttyS0 root=/dev/vda1"
  ringside boot vmlinuz disk.img --device scsi --registers legacy
  ringside boot disk.img --net user,hostfwd=tcp::2222-:22     ssh -p 2222 127.0.0.1 reaches the PC
  ringside boot --page 8000                                   the same in a browser: files are picked there

Exit status: 0 the guest ended, or was left; 1 the work failed; 2 the call was wrong; 130 called off with Ctrl-C.`;

/** Adds the command. */
export function addBootCommand(program: Command, interruption: Interruption): void {
  program
    .command("boot")
    .description("boot a PC in this process (v86) from our disks, with its console on the terminal")
    .argument("[file...]", "disk images, and a Linux kernel")
    .addOption(new Option("--device <kind>", "what the disks are").choices(["blk", "scsi"]).default("blk"))
    .addOption(
      new Option("--registers <kind>", "virtio's register interface: in I/O ports, memory, or modern in I/O ports")
        .choices(["legacy", "modern", "modern-io"])
        .default("modern"),
    )
    .option("--initrd <file>", "the kernel's first file system")
    .option("--append <text>", "the kernel's command line", "console=ttyS0")
    .addOption(new Option("--memory <size>", "of the PC").argParser(parseRamSize).default(192 << 20, "192M"))
    .option("--bios <file>", "the PC's firmware; default: Debian's SeaBIOS")
    .option("--vga-bios <file>", "the screen's firmware; default: Debian's")
    .option("--write", "let writes reach the images", false)
    .addOption(new Option("--format <format>", "insist that images are raw, whatever they look like").choices(["raw"]))
    .addOption(
      new Option("--net <network>", "user[,hostfwd=…][,guestfwd=…][,mac=…]: a network adapter").argParser(
        parseBootNetwork,
      ),
    )
    .option("--pcap <file>", "keep what passes through the network, as tcpdump reads it")
    .option("--screen", "print the lines of the text screen; default without a kernel")
    .option("--no-screen", "do not")
    .addOption(
      new Option("--timeout <seconds>", "fail when the PC still runs then").argParser(parseSeconds(0.1, 86_400)),
    )
    .addOption(
      new Option("--page <port>", "serve a page on this machine that boots in the browser").argParser(
        parseWithin(0, 65_535),
      ),
    )
    .addHelpText("after", bootHelp)
    .action(async (files, options) => (await import("./boot.js")).boot(files, options, interruption));
}
