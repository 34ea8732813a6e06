/** `ringside boot --page`: serves the page that boots in the browser, to this machine only. */
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { firmwarePaths, v86Folder } from "./boot-package.js";
import { WorkFailed } from "./errors.js";
import type { Interruption } from "./interruption.js";
import { writeOutput } from "./output.js";

/** What is compiled: the page's modules are served as they are. */
const compiled = new URL("../", import.meta.url);
const address = "127.0.0.1";
const types: Readonly<Record<string, string>> = {
  ...{ js: "text/javascript; charset=utf-8", mjs: "text/javascript; charset=utf-8" },
  ...{ wasm: "application/wasm", bin: "application/octet-stream" },
};

/** The server while it runs. */
export interface BootPage {
  readonly url: string;
  close(): Promise<void>;
}

/** Serves until the user ends it. @throws WorkFailed when v86 is missing or nobody can listen there */
export async function servePage(port: number, interruption: Interruption): Promise<void> {
  const page = await openPage(port);
  await writeOutput(`${page.url}\nCtrl-C ends it.\n`);
  await interruption.ended();
  await page.close();
}

/** Starts the server; port 0 takes a free one. @throws WorkFailed */
export async function openPage(port: number): Promise<BootPage> {
  const { pageHtml } = await import("../web/index.js");
  const find = fileFinder();
  const server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?")[0];
    if (request.method !== "GET") return refuse(response, 405);
    if (path === "/") return send(response, "text/html; charset=utf-8", pageHtml);
    const file = find(path);
    if (file === undefined) return refuse(response, 404);
    readFile(file).then(
      (bytes) => send(response, types[path.slice(path.lastIndexOf(".") + 1)], bytes),
      () => refuse(response, 404),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(new WorkFailed(`cannot listen on port ${port}: ${error.code ?? error.message}`, { cause: error }));
    });
    server.listen(port, address, resolve);
  });
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://${address}:${(server.address() as AddressInfo).port}/`, close };
}

/** Files by path: modules of ours, two files of v86's, Debian's firmware. @throws WorkFailed without v86 */
function fileFinder(): (path: string) => string | undefined {
  const v86 = v86Folder();
  const firmware = (name: "bios" | "vgaBios") => {
    try {
      return firmwarePaths({})[name];
    } catch {
      return undefined; // The user picks one in the page.
    }
  };
  return (path) => {
    if (path === "/firmware/bios.bin") return firmware("bios");
    if (path === "/firmware/vgabios-stdvga.bin") return firmware("vgaBios");
    if (path === "/v86/build/libv86.mjs" || path === "/v86/build/v86.wasm") return `${v86}${path.slice(4)}`;
    return /^\/src(\/[a-z0-9-]+)+\.js$/.test(path) ? fileURLToPath(new URL(path.slice(5), compiled)) : undefined;
  };
}

function send(response: ServerResponse, type: string, body: string | Uint8Array): void {
  response.writeHead(200, { "content-type": type, "cache-control": "no-store", "x-content-type-options": "nosniff" });
  response.end(body);
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-type": "text/plain" });
  response.end("there is nothing here\n");
}
