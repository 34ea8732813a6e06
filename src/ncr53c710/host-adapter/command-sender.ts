/** One command with its buffers, as a promise: memory is lent, the request sent, and everything taken back at its end. */
import { Cancellation } from "../../errors/index.js";
import type { DmaDirection, DmaMemory, SharedBuffer } from "../../memory/index.js";
import {
  type CommandAnswer,
  type CommandOptions,
  parseInquiry,
  ScsiResponse,
  ScsiStatus,
  TaskAttribute,
  type UnitAddress,
} from "../../scsi/index.js";
import type { AdapterRequest } from "./adapter-request.js";

const inquiry = 0x12;

/** The driver, as sending needs it. */
export interface Sender {
  acquireRequest(): AdapterRequest;
  releaseRequest(request: AdapterRequest): void;
  submit(request: AdapterRequest): void;
  callOff(request: AdapterRequest): void;
  setQueueing(address: UnitAddress, queues: boolean): void;
}

/** What is to be sent. */
export interface OneCommand {
  readonly address: UnitAddress;
  readonly cdb: Uint8Array;
  readonly options: CommandOptions;
}

/** @throws what {@link ScsiInitiator.execute} throws */
export async function sendOne(sender: Sender, dma: DmaMemory, command: OneCommand): Promise<CommandAnswer> {
  const { address, cdb, options } = command;
  const { dataOut, dataIn, signal } = options;
  const hasOut = dataOut !== undefined && dataOut.length > 0;
  const hasIn = dataIn !== undefined && dataIn.length > 0;
  if (hasOut && hasIn) throw new RangeError("on a SCSI-2 bus a command's data goes one way");
  const request = sender.acquireRequest();
  let lent: SharedBuffer | undefined;
  try {
    request.pointAt(address);
    request.setCdb(cdb);
    request.attribute = options.attribute ?? TaskAttribute.Simple;
    if (options.timeout !== undefined) request.timeout = options.timeout;
    if (hasOut) lent = lend(dma, request, dataOut, "to-device");
    else if (hasIn) lent = lend(dma, request, dataIn, "from-device");
    await ended(sender, request, signal);
  } finally {
    // A request that was submitted has ended: nothing of it can reach memory any more.
    if (lent !== undefined) dma.unshare(lent);
    if (request.state !== "done") sender.releaseRequest(request);
  }
  const { response, status, residual, senseLength } = request;
  const answer = { response, status, sense: request.sense.slice(0, senseLength), residual };
  sender.releaseRequest(request);
  if (cdb[0] === inquiry && hasIn) learn(sender, command, answer);
  return answer;
}

function lend(dma: DmaMemory, request: AdapterRequest, bytes: Uint8Array, direction: DmaDirection): SharedBuffer {
  const shared = dma.share(bytes, direction);
  try {
    for (const { address, length } of shared.segments) {
      if (direction === "to-device") request.addOut(address, length);
      else request.addIn(address, length);
    }
    return shared;
  } catch (error) {
    dma.unshare(shared);
    throw error;
  }
}

/** Resolves at the end of the request. @throws why it failed */
function ended(sender: Sender, request: AdapterRequest, signal: AbortSignal | undefined): Promise<void> {
  const cancellation = signal === undefined ? undefined : Cancellation.of(signal);
  return new Promise<void>((resolve, reject) => {
    const callOff = () => sender.callOff(request);
    request.onEnd = () => {
      cancellation?.remove(callOff);
      if (request.state === "failed") reject(request.error);
      else resolve();
    };
    sender.submit(request);
    if (request.unit === undefined) return;
    cancellation?.add(callOff);
    if (cancellation?.isCalledOff === true) callOff();
  });
}

/** INQUIRY tells whether the unit queues commands. */
function learn(sender: Sender, { address, cdb, options }: OneCommand, answer: CommandAnswer): void {
  const isStandard = (cdb[1] & 1) === 0 && answer.response === ScsiResponse.Ok && answer.status === ScsiStatus.Good;
  const { dataIn } = options;
  if (!isStandard || dataIn === undefined) return;
  const data = parseInquiry(dataIn.subarray(0, dataIn.length - answer.residual));
  if (data !== undefined) sender.setQueueing(address, data.commandQueuing);
}
