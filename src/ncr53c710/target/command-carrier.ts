/** Carries out a target's commands: from the last byte of the CDB to data and status. Knows nothing of phases. */
import {
  buildSense,
  describeCdb,
  type LogicalUnit,
  Nexus,
  type ScsiBus,
  ScsiStatus,
  type ScsiTask,
  SenseKey,
  unitAddress,
} from "../../scsi/index.js";
import { wireIds } from "../chip/scsi-wire.js";
import { SenseKeeper } from "./sense-keeper.js";
import type { TargetCommand } from "./target-command.js";
import type { TargetOptions } from "./target-options.js";

const defaultMaximumTransfer = 32 << 20;
const defaultMaximumCommands = 64;
const requestSense = 0x03;

/** Additional sense codes of errors on the bus (SPC). */
export const BusError = { Parity: 0x47, InitiatorDetected: 0x48 } as const;

/** The bus side of a target, as its commands need it. */
export interface CommandHost {
  /** The command's stage changed: the bus shall show it. */
  proceed(): void;
  /** Leaves the bus with this command. */
  goAway(command: TargetCommand): void;
  /** A command that waited for its unit has something to show: on the bus, or by reselection. */
  comeBack(command: TargetCommand): void;
  /** Lets go of the bus without a word. */
  drop(): void;
  /** Commands off the bus: how many, and the first one. */
  readonly away: { readonly count: number; readonly first: TargetCommand | undefined };
}

export class CommandCarrier {
  readonly sense = new SenseKeeper();
  readonly #id: number;
  readonly #bus: ScsiBus;
  readonly #options: TargetOptions;
  readonly #host: CommandHost;
  /** Writes that units work on, those that were called off meanwhile among them. */
  readonly #writes = new Set<TargetCommand>();
  /** Commands that wait until such writes are over, or these would happen after them. */
  #held: TargetCommand[] = [];
  readonly #nexuses = Array.from({ length: wireIds }, (_, id) => new Nexus(`scsi id ${id}`));

  constructor(id: number, bus: ScsiBus, options: TargetOptions, host: CommandHost) {
    this.#id = id;
    this.#bus = bus;
    this.#options = options;
    this.#host = host;
  }

  /** Ends a command with ABORTED COMMAND after an error on the bus, as soon as its unit lets it. */
  failOnBus(command: TargetCommand, code: number): void {
    command.busError = code;
    if (command.stage === "executing") return;
    // From COMMAND on the CDB is taken as a whole.
    if (command.stage !== "command") this.#fail(command, SenseKey.AbortedCommand, code, 0);
  }

  /** Begins a command whose CDB is there. */
  start(command: TargetCommand, identified: boolean): void {
    const { task, initiator } = command;
    // SCSI-1: without IDENTIFY the unit is in the CDB.
    const cdbLun = task.cdb[1] >> 5;
    if (!identified) command.lun = cdbLun;
    if (cdbLun === command.lun) task.cdb[1] &= 0x1f;
    command.dataIn.clear();
    command.dataOut.clear();
    task.begin(this.#nexuses[initiator], command.dataOut, command.dataIn);
    task.tagLow = command.tag;
    const { maximumCommands = defaultMaximumCommands, maximumTransfer = defaultMaximumTransfer } = this.#options;
    const unit = this.#unit(command);
    if (command.busError !== undefined) this.#fail(command, SenseKey.AbortedCommand, command.busError, 0);
    else if (unit === undefined || this.#overlaps(command)) this.#end(command, ScsiStatus.Busy);
    else if (this.#host.away.count >= maximumCommands) this.#end(command, ScsiStatus.TaskSetFull);
    else {
      unit.prepare(task);
      this.#observe(command);
      if (task.cdb[0] === requestSense && this.#giveSense(command)) {
        this.#host.proceed();
        return;
      }
      this.sense.forget(initiator, command.lun);
      if (task.expectedIn > maximumTransfer || task.expectedOut > maximumTransfer) {
        this.#fail(command, SenseKey.IllegalRequest, 0x24, 0);
      } else if (!this.#suffersFault(command)) this.#begin(command, unit);
    }
  }

  /** The command's status was sent: with CHECK CONDITION a contingent allegiance begins. */
  returned({ task, initiator, lun }: TargetCommand): void {
    if (task.status === ScsiStatus.CheckCondition) this.sense.keep(initiator, lun, task.sense, task.senseLength);
  }

  /** All data from the initiator is there. */
  dataTaken(command: TargetCommand): void {
    const unit = this.#unit(command);
    if (unit === undefined) this.#end(command, ScsiStatus.Busy);
    else this.#execute(command, unit);
  }

  /** The unit; undefined when the target has lost its last one since selection. */
  #unit(command: TargetCommand): LogicalUnit | undefined {
    return this.#bus.lookup(unitAddress(this.#id, command.lun));
  }

  #overlaps(command: TargetCommand): boolean {
    for (let other = this.#host.away.first; other !== undefined; other = other.following) {
      if (other.initiator === command.initiator && other.lun === command.lun && other.tag === command.tag) return true;
    }
    return false;
  }

  #observe({ task, lun }: TargetCommand): void {
    this.#options.observer?.emit({
      category: "scsi",
      source: `target ${this.#id} lun ${lun}`,
      name: "command",
      fields: { cdb: describeCdb(task.cdb) },
    });
  }

  /** Asks for data, or executes. */
  #begin(command: TargetCommand, unit: LogicalUnit): void {
    const { expectedOut } = command.task;
    if (expectedOut === 0) {
      this.#execute(command, unit);
      return;
    }
    this.#expectData(command);
    if (this.#leavesAlways(command)) this.#host.goAway(command);
    else this.#host.proceed();
  }

  #expectData(command: TargetCommand): void {
    command.makeRoom(command.dataOut, command.task.expectedOut);
    command.total = command.task.expectedOut;
    command.stage = "data-out";
  }

  #leavesAlways(command: TargetCommand): boolean {
    return this.#options.disconnect === "always" && command.mayDisconnect;
  }

  /** True when a fault took the place of the command. */
  #suffersFault(command: TargetCommand): boolean {
    const fault = this.#options.faults?.command?.({ target: this.#id, lun: command.lun, cdb: command.task.cdb });
    switch (fault?.kind) {
      case "error":
        this.#fail(command, fault.key, fault.asc, fault.ascq);
        return true;
      case "response":
        // The nearest that a wire has to a transport's failure: the target is gone.
        this.#host.drop();
        return true;
      case "never":
        this.#waitForUnit(command);
        return true;
      case "delay":
        this.#waitForUnit(command);
        setTimeout(() => this.#afterDelay(command), fault.milliseconds);
        return true;
      default:
        return false;
    }
  }

  #afterDelay(command: TargetCommand): void {
    if (command.isAborted) return;
    const { task } = command;
    if (task.expectedOut > 0) {
      this.#expectData(command);
      this.#host.comeBack(command);
      return;
    }
    this.#executeLater(command);
  }

  /** Executes a command that waits off the bus, or on it without a word. */
  #executeLater(command: TargetCommand): void {
    if (this.#isHeldUp(command)) return;
    const { task } = command;
    const unit = this.#unit(command);
    if (unit === undefined) {
      task.status = ScsiStatus.Busy;
      command.stage = "status";
      this.#host.comeBack(command);
      return;
    }
    command.makeRoom(command.dataIn, task.expectedIn);
    this.#comeBackAfter(command, unit.execute(task) ?? Promise.resolve());
  }

  /** Whether a command has to wait for a write that was called off. */
  #isHeldUp(command: TargetCommand): boolean {
    for (const write of this.#writes) {
      if (!write.isAborted || write.lun !== command.lun) continue;
      // A store that hangs must not gather those that were called off.
      this.#held = this.#held.filter(({ isAborted }) => !isAborted);
      this.#held.push(command);
      return true;
    }
    return false;
  }

  #writeEnded(write: TargetCommand): void {
    if (!this.#writes.delete(write) || !write.isAborted) return;
    for (const command of this.#held.splice(0)) if (!command.isAborted) this.#executeLater(command);
  }

  #execute(command: TargetCommand, unit: LogicalUnit): void {
    const { task } = command;
    if (this.#writes.size > 0 && this.#isHeldUp(command)) {
      this.#waitForUnit(command);
      return;
    }
    command.makeRoom(command.dataIn, task.expectedIn);
    const answer = unit.execute(task);
    if (answer === undefined) {
      this.#executed(command);
      const hasWorked = command.total > 0 || task.expectedOut > 0;
      if (hasWorked && this.#leavesAlways(command)) this.#host.goAway(command);
      else this.#host.proceed();
      return;
    }
    this.#waitForUnit(command);
    this.#comeBackAfter(command, answer);
  }

  #comeBackAfter(command: TargetCommand, answer: Promise<void>): void {
    if (command.task.expectedOut > 0) this.#writes.add(command);
    const done = () => {
      this.#writeEnded(command);
      if (command.isAborted) return;
      this.#executed(command);
      this.#host.comeBack(command);
    };
    answer.then(done, done);
  }

  /** The unit takes its time: leaves the bus where that is allowed. */
  #waitForUnit(command: TargetCommand): void {
    command.stage = "executing";
    const { disconnect = "slow" } = this.#options;
    if (disconnect !== "never" && command.mayDisconnect) this.#host.goAway(command);
    else this.#host.proceed();
  }

  #executed(command: TargetCommand): void {
    const { task } = command;
    command.position = 0;
    command.savedPosition = 0;
    if (command.busError !== undefined) {
      describeFailure(task, SenseKey.AbortedCommand, command.busError, 0);
      command.total = 0;
      command.stage = "status";
      return;
    }
    command.total = task.transferredIn;
    command.stage = command.total > 0 ? "data-in" : "status";
  }

  /** REQUEST SENSE: what a command before it left. False when there is nothing. */
  #giveSense(command: TargetCommand): boolean {
    const sense = this.sense.take(command.initiator, command.lun);
    if (sense === undefined) return false;
    const length = Math.min(sense.length, command.task.cdb[4]);
    command.makeRoom(command.dataIn, length);
    command.data.set(sense.subarray(0, length));
    command.total = length;
    command.stage = length > 0 ? "data-in" : "status";
    command.task.status = ScsiStatus.Good;
    return true;
  }

  #fail(command: TargetCommand, key: number, asc: number, ascq: number): void {
    describeFailure(command.task, key, asc, ascq);
    this.#end(command, ScsiStatus.CheckCondition);
  }

  /** Goes to STATUS without data. */
  #end(command: TargetCommand, status: number): void {
    command.task.status = status;
    command.stage = "status";
    this.#host.proceed();
  }
}

/** The command has failed, for a reason that its unit does not know: it keeps its sense data until the status is sent. */
function describeFailure(task: ScsiTask, key: number, asc: number, ascq: number): void {
  task.senseLength = buildSense(task.sense, "fixed", { key, asc, ascq });
  task.status = ScsiStatus.CheckCondition;
}
