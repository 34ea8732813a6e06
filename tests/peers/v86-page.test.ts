/** The page of `ringside boot --page` in headless Chromium: files are picked, the PC boots, Linux mounts the disk. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openPage } from "../../src/cli/boot-page.js";
import { test } from "./limited-test.js";
import { findProgram } from "./linux/guest.js";
import { bootDisk } from "./v86-boot-sector.js";
import { checkExt4, formatExt4, whyNoExt4 } from "./v86-ext4.js";
import { linuxFiles, whyNoV86, whyNoV86Linux } from "./v86-guest.js";

const chromium = findProgram("chromium");
const noBrowser = chromium === undefined ? "chromium is not installed" : undefined;
const command = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "src", "cli", "main.js");

/** A page in a browser, with files in a folder, for the time of `work`. */
async function withPage(work: (page: import("playwright-core").Page, folder: string) => Promise<void>): Promise<void> {
  const { chromium: driver } = await import("playwright-core");
  const folder = mkdtempSync(join(tmpdir(), "ringside-page-"));
  const server = await openPage(0);
  const browser = await driver.launch({
    executablePath: chromium as string,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    page.setDefaultTimeout(90_000);
    await page.goto(server.url);
    try {
      await work(page, folder);
    } catch (error) {
      const shown = await page.textContent("body").catch(() => "the page is gone");
      throw new Error(`${(error as Error).message}; the page shows:\n${shown?.slice(-3000)}`, { cause: error });
    }
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A screenshot where somebody wants to look: RINGSIDE_SCREENSHOTS names the folder. */
async function screenshot(page: import("playwright-core").Page, name: string): Promise<void> {
  const folder = process.env["RINGSIDE_SCREENSHOTS"];
  if (folder !== undefined) await page.screenshot({ path: join(folder, `${name}.png`) });
}

test("page: SeaBIOS boots from a picked disk on virtio-scsi; screen and serial line show it", {
  skip: noBrowser ?? whyNoV86(),
}, async () => {
  await withPage(async (page, folder) => {
    const disk = join(folder, "disk.img");
    writeFileSync(disk, bootDisk("hello from the page"));
    await page.click("#start");
    await page.waitForFunction('document.getElementById("state").textContent === "pick a disk, or a kernel"');
    await page.setInputFiles("#disk", disk);
    await page.selectOption("#device", "scsi");
    await page.selectOption("#registers", "modern-io");
    await page.click("#start");
    await page.waitForFunction('document.getElementById("serial").textContent.includes("hello from the page")');
    await page.waitForFunction('document.getElementById("state").textContent === "The PC has halted"');
    await page.waitForFunction('document.getElementById("screen").textContent.includes("hello from the page")');
    await screenshot(page, "page-firmware");
    await page.click("#stop");
    await page.waitForFunction('document.getElementById("state").textContent === "Stopped"');
  });
});

test("page: Linux mounts the picked disk, its checksum is equal, what it writes can be saved, and the network answers", {
  skip: noBrowser ?? whyNoV86Linux() ?? whyNoExt4(),
}, async () => {
  await withPage(async (page, folder) => {
    const image = formatExt4(16 << 20);
    const { kernel, initrd, commandLine } = linuxFiles(
      ["virtio_net"],
      [],
      ["virtio_pci", "virtio_blk", "ext4", "crc32c_generic"],
    );
    const file = (name: string, bytes: Uint8Array | undefined) => {
      const path = join(folder, name);
      writeFileSync(path, bytes as Uint8Array);
      return path;
    };
    await page.setInputFiles("#disk", file("disk.img", image));
    await page.setInputFiles("#kernel", file("vmlinuz", kernel));
    await page.setInputFiles("#initrd", file("initrd", initrd));
    await page.fill("#append", commandLine as string);
    await page.selectOption("#network", "user");
    await page.click("#start");
    const says = (text: string) =>
      page.waitForFunction(`document.getElementById("serial").textContent.includes(${JSON.stringify(text)})`);
    await says("@@ready");
    await page.focus("#serial");
    const type = async (line: string) => {
      await page.keyboard.type(line);
      await page.keyboard.press("Enter");
    };
    await type("md5sum /dev/vda");
    await says(`${createHash("md5").update(image).digest("hex")}  /dev/vda`);
    await type(
      "mount -t ext4 /dev/vda /mnt && seq 1 5000 >/mnt/numbers && md5sum /mnt/numbers && umount /mnt; echo done $?",
    );
    await says("done 0");
    await type("ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ping -c 2 10.0.2.2");
    await says("2 packets received");
    await screenshot(page, "page-linux");
    const printed = (await page.textContent("#serial")) ?? "";
    const sum = /([0-9a-f]{32}) {2}\/mnt\/numbers/.exec(printed)?.[1];
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    const saved = join(folder, "saved.img");
    await download.saveAs(saved);
    const { readFileSync } = await import("node:fs");
    checkExt4(readFileSync(saved), `${sum} numbers`);
    assert.notEqual(Buffer.compare(readFileSync(saved), image), 0);
    assert.equal(Buffer.compare(readFileSync(join(folder, "disk.img")), image), 0, "the picked file is not changed");
  });
});

test("page server: what it gives and what not, and a clean end on a signal", { skip: whyNoV86() }, async () => {
  const child = spawn(process.execPath, [command, "boot", "--page", "0"], { stdio: ["ignore", "pipe", "pipe"] });
  try {
    const url = await new Promise<string>((resolve) => {
      child.stdout.on("data", (text: Buffer) => resolve(`${text}`.split("\n")[0]));
    });
    const status = async (path: string, method = "GET") => (await fetch(new URL(path, url), { method })).status;
    assert.equal(await status("/"), 200);
    assert.equal(await status("/src/web/page.js"), 200);
    assert.equal(await status("/v86/build/v86.wasm"), 200);
    assert.equal(await status("/firmware/bios.bin"), 200);
    for (const path of [
      "/src/../package.json",
      "/src/%2e%2e/package.json",
      "/v86/package.json",
      "/src/web/page.ts",
      "/etc/passwd",
    ]) {
      assert.equal(await status(path), 404, path);
    }
    assert.equal(await status("/", "POST"), 405);
    const ended = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGINT");
    assert.equal(await ended, 0);
  } finally {
    child.kill("SIGKILL");
  }
});
