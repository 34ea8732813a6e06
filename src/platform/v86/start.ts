/** Makes a PC in v86 from files that were read: firmware, and a kernel or a disk to boot from. */
import { UnsupportedError } from "../../errors/index.js";
import type { Observer } from "../../observe/index.js";
import type { V86Constructor } from "./emulator.js";
import { V86Pc } from "./pc.js";

/** What a PC is made of. */
export interface V86PcOptions {
  /** The class `V86` of the package v86. */
  readonly V86: V86Constructor;
  /** Instantiates the package's `build/v86.wasm`: gets its imports, gives its exports. */
  readonly instantiate: (imports: object) => Promise<object>;
  /** SeaBIOS, and its VGA BIOS. */
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
  /** Bytes of memory. Default 192 MiB. */
  readonly memory?: number;
  /** A Linux kernel (bzImage); without one the firmware boots from a disk. */
  readonly kernel?: Uint8Array | undefined;
  readonly initrd?: Uint8Array | undefined;
  readonly commandLine?: string | undefined;
  /** Interpret only: slow, for finding out whether the compiler is to blame. Default false. */
  readonly interpret?: boolean;
  /** Where the screen is shown, in a browser. */
  readonly screen?: object | undefined;
  readonly observer?: Observer | undefined;
  /** How long loading may take, in milliseconds. Default 60 s. */
  readonly patience?: number;
}

const defaultMemory = 192 << 20;
/** As CMOS has it: hard disk, CD, floppy. */
const hardDiskFirst = 0x132;

/** The PC, loaded, with nothing of ours in it yet and not running. @throws UnsupportedError */
export async function makeV86Pc(options: V86PcOptions): Promise<V86Pc> {
  const { V86, instantiate, bios, vgaBios, kernel, initrd, commandLine, memory = defaultMemory, screen } = options;
  const file = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : { buffer: ownBuffer(bytes) });
  const emulator = new V86({
    wasm_fn: async (imports: object) => instantiate(imports),
    memory_size: memory,
    vga_memory_size: 8 << 20,
    autostart: false,
    boot_order: hardDiskFirst,
    // With ACPI Debian's kernel finds two PCI functions only, with or without ours.
    acpi: false,
    disable_speaker: true,
    ...(screen === undefined ? { disable_keyboard: true, disable_mouse: true } : { screen_container: screen }),
    disable_jit: options.interpret === true,
    net_device: { type: "none" },
    bios: file(bios),
    vga_bios: file(vgaBios),
    ...(kernel === undefined ? {} : { bzimage: file(kernel), cmdline: commandLine ?? "" }),
    ...(initrd === undefined ? {} : { initrd: file(initrd) }),
  });
  await new Promise<void>((resolve, reject) => {
    const patience = options.patience ?? 60_000;
    const timer = setTimeout(() => reject(new UnsupportedError("v86 does not load its files")), patience);
    emulator.add_listener("emulator-loaded", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  return new V86Pc(emulator, options.observer);
}

/** v86 takes whole buffers, and writes into some. */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}
