/** `virtioscsi.device` for exec: initialisation, opening and closing, BeginIO and AbortIO, expunging (chapter 5). */
import { placeCommandList } from "../commands/command-list.js";
import {
  type Exec,
  type ExecDevice,
  type ExecMemory,
  ExecNode,
  IoError,
  IoFlag,
  type IoRequest,
  poisonedHandle,
  replyRequest,
} from "../exec/index.js";
import type { AmigaProfile } from "../profile.js";
import { AmigaUnit } from "./amiga-unit.js";
import type { CommandTable, UnitRequest } from "./command-entry.js";
import type { ControllerIo } from "./controller-io.js";
import type { OpenDataPath } from "./slot-transfer.js";
import type { DeviceAccess } from "./unit.js";

/** Name in exec's list. */
export const virtioScsiDeviceName = "virtioscsi.device";

/** What the device is made of. */
export interface ScsiDeviceOptions {
  readonly exec: Exec;
  readonly memory: ExecMemory;
  readonly profile: AmigaProfile;
  readonly commands: CommandTable;
  readonly openDataPath: OpenDataPath;
  /** Milliseconds. */
  readonly timeout: number;
  readonly debug: (text: string) => void;
  /** A unit was found or plugged in, or is gone. */
  readonly announce: (unit: number) => void;
  readonly denounce: (unit: number) => void;
}

/** The device node: units, controllers, and what exec calls. */
export class AmigaScsiDevice extends ExecNode implements ExecDevice, DeviceAccess {
  readonly name = virtioScsiDeviceName;
  readonly version: readonly [number, number];
  readonly profile: AmigaProfile;
  readonly memory: ExecMemory;
  readonly commands: CommandTable;
  readonly commandList: number;
  readonly units: (AmigaUnit | undefined)[] = [];
  readonly controllers: ControllerIo[] = [];
  openCount = 0;
  readonly #options: ScsiDeviceOptions;
  /** Opening and closing are done one after the other, as under Forbid. */
  #turn: Promise<unknown> = Promise.resolve();
  #isExpunged = false;
  #isExpungeDelayed = false;

  constructor(options: ScsiDeviceOptions) {
    super();
    this.profile = options.profile;
    this.version = options.profile.version;
    this.memory = options.memory;
    this.commands = options.commands;
    this.commandList = placeCommandList(options.memory, options.profile);
    this.#options = options;
  }

  /** True once it is out of exec's list and its controllers are reset. */
  get isExpunged(): boolean {
    return this.#isExpunged;
  }

  get firstUnit(): AmigaUnit | undefined {
    return this.units[0];
  }

  debug(text: string): void {
    this.#options.debug(text);
  }

  /** Looks for units behind a controller and gives them the next free numbers; stops when there are enough. */
  async scan(io: ControllerIo): Promise<void> {
    const controller = this.controllers.push(io) - 1;
    await io.scan(async ({ target, lun, peripheralType }) => {
      this.addUnit(controller, target, lun, peripheralType);
      return this.units.length < this.profile.units;
    });
  }

  /** A unit that was found. Undefined when there is no number left. */
  addUnit(controller: number, target: number, lun: number, peripheralType: number): AmigaUnit | undefined {
    const { openDataPath, timeout } = this.#options;
    if (this.units.length >= this.profile.units) return undefined;
    const number = this.units.length;
    const io = this.controllers[controller];
    const place = { number, controller, target, lun, peripheralType };
    const unit = new AmigaUnit({ ...place, device: this, io, openDataPath, timeout });
    this.units.push(unit);
    this.debug(`unit ${number}: target ${target} lun ${lun}`);
    return unit;
  }

  /** The unit at a place. */
  unitAt(controller: number, target: number, lun: number): AmigaUnit | undefined {
    return this.units.find((unit) => unit?.controller === controller && unit.target === target && unit.lun === lun);
  }

  /** Tells whoever mounts that a unit is there now, or no longer. */
  announce(unit: AmigaUnit): void {
    this.#options.announce(unit.number);
  }

  denounce(unit: AmigaUnit): void {
    this.#options.denounce(unit.number);
  }

  open(request: IoRequest, number: number, _flags: number): Promise<number> {
    return this.#inTurn(async () => {
      const unit = this.#isExpunged ? undefined : this.units[number];
      this.openCount++;
      try {
        if (unit === undefined) throw new RangeError(`there is no unit ${number}`);
        if (unit.openCount === 0) unit.start();
        unit.openCount++;
      } catch (error) {
        this.debug(`unit ${number} does not open: ${error instanceof Error ? error.message : String(error)}`);
        this.openCount--;
        request.ioDevice = poisonedHandle;
        request.ioUnit = poisonedHandle;
        request.ioError = IoError.OpenFail;
        return IoError.OpenFail;
      }
      this.#isExpungeDelayed = false;
      request.ioDevice = this;
      request.ioUnit = unit;
      request.ioError = 0;
      return 0;
    });
  }

  close(request: IoRequest): Promise<void> {
    return this.#inTurn(async () => {
      const unit = request.ioUnit;
      request.ioDevice = poisonedHandle;
      request.ioUnit = poisonedHandle;
      if (!(unit instanceof AmigaUnit) || unit.openCount === 0) return;
      this.openCount--;
      if (--unit.openCount === 0) await unit.stop();
      if (this.openCount === 0 && this.#isExpungeDelayed) await this.#expunge();
    });
  }

  beginIo(request: IoRequest): void {
    const asked = request as UnitRequest;
    const { ioUnit } = request;
    const unit = ioUnit instanceof AmigaUnit ? ioUnit : undefined;
    asked.ioError = 0;
    const entry = this.commands.get(asked.ioCommand);
    switch (entry?.kind) {
      case undefined:
        asked.ioError = IoError.NoCommand;
        break;
      case "quick":
        entry.run(this, unit, asked);
        break;
      case "held": {
        const isQuick = asked.ioFlags & IoFlag.Quick;
        asked.ioFlags &= ~IoFlag.Quick;
        asked.state = "sent";
        if (entry.run(this, unit, asked) === "held") return;
        asked.ioFlags |= isQuick;
        break;
      }
      default: {
        const isQuick = asked.ioFlags & IoFlag.Quick;
        asked.ioFlags &= ~IoFlag.Quick;
        if (unit?.enqueue(asked)) return;
        asked.ioFlags |= isQuick;
        asked.ioError = IoError.OpenFail;
      }
    }
    if ((asked.ioFlags & IoFlag.Quick) === 0) replyRequest(asked);
    else asked.state = "replied";
  }

  abortIo(request: IoRequest): number {
    const { ioUnit } = request;
    return ioUnit instanceof AmigaUnit ? ioUnit.abort(request as UnitRequest) : IoError.NoCommand;
  }

  expunge(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.openCount > 0) {
        this.#isExpungeDelayed = true;
        return false;
      }
      await this.#expunge();
      return true;
    });
  }

  async #expunge(): Promise<void> {
    if (this.#isExpunged) return;
    this.#isExpunged = true;
    this.#options.exec.removeDevice(this);
    for (const io of this.controllers) await io.close();
    this.memory.free(this.commandList);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
