/** The page's script: a PC in v86 with our virtio disk over a file that the user picked. */
import { Scatter } from "../memory/index.js";
import { UserNetwork } from "../packet/index.js";
import { makeV86Pc, type V86Constructor, type V86Pc, type V86Registers } from "../platform/v86/index.js";
import { Disk, ScsiBus } from "../scsi/index.js";
import { OverlayStore, type Store, TalliedStore, Tally } from "../storage/index.js";
import { VirtioBlkDevice, VirtioNetDevice, VirtioScsiDevice } from "../virtio/index.js";
import { browser, element, make } from "./document.js";
import { PickedFileStore, type ReadableFile } from "./picked-file-store.js";
import { bytesOfKey, SerialText } from "./serial-pane.js";

const scsiController = 0x01_0000;
const ethernetController = 0x02_0000;
const pieceSize = 1 << 20;
/** Milliseconds between two looks at what the PC printed and did. */
const refreshTime = 100;

/** A PC that runs, and its disk. */
interface Running {
  readonly pc: V86Pc;
  readonly disk: Store | undefined;
  /** What was asked of the disk. */
  readonly tally: Tally;
  readonly name: string;
}

let running: Running | undefined;
let serial = new SerialText();
let shown = "";

function tell(text: string, isBad = false): void {
  const state = element("state");
  state.textContent = text;
  state.className = isBad ? "bad" : "";
}

function picked(id: string): ReadableFile | undefined {
  return element(id).files?.[0];
}

async function bytesOf(file: ReadableFile): Promise<Uint8Array> {
  return new Uint8Array(await file.slice(0, file.size).arrayBuffer());
}

async function fetched(path: string, what: string): Promise<Uint8Array> {
  const response = await browser.fetch(path);
  if (!response.ok) throw new Error(`the server has no ${what}: pick one`);
  return new Uint8Array(await response.arrayBuffer());
}

async function start(): Promise<void> {
  const disk = picked("disk");
  const kernel = picked("kernel");
  const initrd = picked("initrd");
  const firmware = picked("bios");
  if (disk === undefined && kernel === undefined) throw new Error("pick a disk, or a kernel");
  if (initrd !== undefined && kernel === undefined) throw new Error("an initrd goes with a kernel: pick one");
  tell("Loading");
  const name: string = "v86";
  const { V86 } = (await import(name)) as { V86: V86Constructor };
  const wasm = await fetched("/v86/build/v86.wasm", "v86");
  const pc = await makeV86Pc({
    V86,
    instantiate: async (imports) => {
      const { instance } = await browser.WebAssembly.instantiate(wasm.buffer as ArrayBuffer, imports);
      return instance.exports;
    },
    bios: firmware === undefined ? await fetched("/firmware/bios.bin", "firmware") : await bytesOf(firmware),
    vgaBios: await fetched("/firmware/vgabios-stdvga.bin", "firmware for the screen"),
    kernel: kernel === undefined ? undefined : await bytesOf(kernel),
    initrd: initrd === undefined ? undefined : await bytesOf(initrd),
    commandLine: element("append").value,
    screen: element("screen"),
  });
  const tally = new Tally();
  const store = disk === undefined ? undefined : new TalliedStore(new OverlayStore(new PickedFileStore(disk)), tally);
  if (store !== undefined) plug(pc, store);
  if (element("network").value === "user") {
    pc.plugVirtio(new VirtioNetDevice(new UserNetwork()), { classCode: ethernetController, registers: registers() });
  }
  serial = new SerialText();
  pc.emulator.add_listener("serial0-output-byte", ((byte: number) => serial.put(byte)) as (argument: never) => void);
  pc.emulator.add_listener("cpu-event-halt", () => tell("The PC has halted"));
  pc.onFailure = (error) => tell(`A device failed: ${String(error)}`, true);
  running = { pc, disk: store, tally, name: disk?.name ?? "disk" };
  await pc.emulator.run();
  tell("Running");
  element("serial").focus();
}

function registers(): V86Registers {
  return element("registers").value as V86Registers;
}

function plug(pc: V86Pc, store: Store): void {
  const options = { classCode: scsiController, registers: registers() };
  if (element("device").value === "blk") {
    pc.plugVirtio(new VirtioBlkDevice(store), options);
    return;
  }
  const bus = new ScsiBus();
  bus.attach(0, 0, new Disk(store));
  pc.plugVirtio(new VirtioScsiDevice(bus), options);
}

async function stop(): Promise<void> {
  const old = running;
  running = undefined;
  await old?.pc.emulator.destroy();
  await old?.disk?.close();
  tell("Stopped");
}

/** Downloads the disk as it is now, with what the guest wrote. */
async function save({ disk, name }: Running): Promise<void> {
  if (disk === undefined) return;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < disk.byteLength; at += pieceSize) {
    const piece = new Uint8Array(Math.min(pieceSize, disk.byteLength - at));
    await disk.read(at, Scatter.of(piece), piece.length);
    pieces.push(piece);
  }
  const url = browser.URL.createObjectURL(new browser.Blob(pieces));
  const link = make("a", "");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => browser.URL.revokeObjectURL(url), 60_000);
}

function refresh(): void {
  const { text } = serial;
  if (text !== shown) {
    shown = text;
    const pane = element("serial");
    pane.textContent = text;
    pane.scrollTop = pane.scrollHeight;
  }
  element("start").disabled = running !== undefined;
  element("stop").disabled = running === undefined;
  element("save").disabled = running?.disk === undefined;
  if (running?.disk === undefined) return;
  const { name, tally } = running;
  const size = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const cells = [name, tally.reads, size(tally.bytesRead), tally.writes, size(tally.bytesWritten)];
  const row = make("tr", "");
  for (const cell of cells) row.append(make("td", String(cell)));
  element("counters").replaceChildren(row);
}

/** Carries out what a button asks for; what goes wrong is said. */
function attempt(work: () => Promise<void>): void {
  work().catch((error: unknown) => tell(error instanceof Error ? error.message : String(error), true));
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  element("start").disabled = true;
  attempt(start);
});
element("stop").addEventListener("click", () => attempt(stop));
element("save").addEventListener("click", () => attempt(async () => running && save(running)));
element("serial").addEventListener("keydown", (event) => {
  const text = bytesOfKey(event.key, event.ctrlKey);
  if (text === undefined) return;
  event.preventDefault();
  running?.pc.emulator.serial0_send(text);
});
setInterval(refresh, refreshTime);
