/**
 * The control socket of `ringside serve --device scsi`: a JSON object a line each way. docs/SERVE.md has the protocol.
 * Requests are carried out in order, connection by connection.
 */
import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { UnixSocket } from "../linux/index.js";
import { cdBlockSize } from "../scsi/index.js";
import { errorLine, UsageError } from "./errors.js";
import { type ImageArgument, type PlacedImage, parseImageArgument, placeImages } from "./image-argument.js";
import type { ServedUnit, ServedUnits } from "./served-device.js";
import { listenError } from "./socket-path.js";

/** Bytes of a request. */
const longestLine = 65536;
const mostConnections = 16;

type Fields = Readonly<Record<string, unknown>>;

export class ServeControl {
  readonly #server: Server;
  readonly #units: ServedUnits;
  readonly #connections = new Set<Socket>();

  private constructor(units: ServedUnits) {
    this.#units = units;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = mostConnections;
  }

  /** Listens at `path`; only its owner may connect. @throws UsageError, WorkFailed */
  static async open(path: string, units: ServedUnits): Promise<ServeControl> {
    const control = new ServeControl(units);
    try {
      await control.#listen(path);
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      const failure = listenError(path, code, error);
      if (code !== "EADDRINUSE" || failure instanceof UsageError || !isDead(path)) throw failure;
      rmSync(path, { force: true });
      await control.#listen(path);
    }
    chmodSync(path, 0o600);
    return control;
  }

  /** Ends all connections and removes the socket. */
  close(): Promise<void> {
    for (const socket of this.#connections) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(path, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  /** Without a place, an image is at the first free target. @throws UsageError */
  #placed(value: unknown): PlacedImage {
    const image = parsedImage(value);
    if (image.target !== undefined || image.lun !== undefined) return placeImages([image])[0];
    const taken = new Set(this.#units.list().map((unit) => unit.image.target));
    let target = 0;
    while (taken.has(target)) target++;
    return placeImages([{ ...image, target }])[0];
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket);
    socket.on("close", () => this.#connections.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.setEncoding("utf8");
    void this.#converse(socket).catch(() => socket.destroy());
  }

  async #converse(socket: Socket): Promise<void> {
    let text = "";
    for await (const piece of socket as AsyncIterable<string>) {
      text += piece;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const line = text.slice(0, end).trim();
        text = text.slice(end + 1);
        if (line !== "") socket.write(`${JSON.stringify(await this.#answer(line))}\n`);
      }
      if (text.length <= longestLine) continue;
      socket.end(`${JSON.stringify({ ok: false, error: `a request has at most ${longestLine} characters` })}\n`);
      return;
    }
  }

  async #answer(line: string): Promise<Fields> {
    try {
      return { ok: true, ...(await this.#carryOut(parseRequest(line))) };
    } catch (error) {
      return { ok: false, error: errorLine(error) };
    }
  }

  async #carryOut([name, value]: readonly [string, unknown]): Promise<Fields> {
    const units = this.#units;
    switch (name) {
      case "list":
        return { units: units.list().map(unitReport) };
      case "add":
        return { added: unitReport(units.add(this.#placed(value))) };
      case "remove": {
        const { target, lun } = placeOf(value);
        return { removed: unitReport(await units.remove(target, lun)) };
      }
      case "eject": {
        const { target, lun } = placeOf(value);
        await units.eject(target, lun, (value as Fields)["force"] === true);
        return { ejected: unitReport(units.at(target, lun)) };
      }
      case "insert": {
        const { target, lun } = placeOf(value);
        const { path } = parsedImage((value as Fields)["image"]);
        units.insert(target, lun, { path, target, lun, blockSize: cdBlockSize, readOnly: true, cd: true });
        return { inserted: unitReport(units.at(target, lun)) };
      }
    }
    throw new UsageError(`there is no request ${JSON.stringify(name)}: there are list, add, remove, eject, insert`);
  }
}

/** The one field of a request, with its value. @throws UsageError */
function parseRequest(line: string): readonly [string, unknown] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new UsageError('a request is one JSON object on a line, such as {"list": true}');
  }
  const fields = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
  if (fields.length === 1) return fields[0];
  throw new UsageError('a request is a JSON object with one field, such as {"list": true}');
}

function parsedImage(value: unknown): ImageArgument {
  if (typeof value !== "string") throw new UsageError('an image is a text, such as "disk.img,target=3"');
  return parseImageArgument(value);
}

function placeOf(value: unknown): { target: number; lun: number } {
  const { target, lun = 0 } = (typeof value === "object" && value !== null ? value : {}) as Fields;
  if (Number.isInteger(target) && Number.isInteger(lun)) return { target: target as number, lun: lun as number };
  throw new UsageError('a place is an object, such as {"target": 3, "lun": 0}');
}

function unitReport({ image, unit, store }: ServedUnit): Fields {
  const { target, lun, path, blockSize, readOnly, cd } = image;
  const medium = store === undefined ? { image: null } : { image: path, blocks: store.byteLength / blockSize };
  return { target, lun, kind: cd === true ? "cd" : unit.kind, blockSize, readOnly, ...medium };
}

function isDead(path: string): boolean {
  try {
    UnixSocket.connect(path).close();
    return false;
  } catch {
    return true;
  }
}
