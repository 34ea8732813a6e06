import { PageViews, Scatter } from "../../memory/index.js";
import { maxCdbLength, maxSenseLength, ScsiTask } from "../../scsi/index.js";
import { RunningRequest } from "../device-base/index.js";
import { requestHeader, responseHeader } from "./protocol.js";

/** A request of the device half: the private copy of its header, its SCSI task and the room for its response. */
export class DeviceRequest extends RunningRequest {
  /** The header as it came; the CDB behind it is the task's. */
  readonly header = new Uint8Array(requestHeader.size + maxCdbLength);
  readonly headerView = new DataView(this.header.buffer);
  readonly task = new ScsiTask(this.header.subarray(requestHeader.size));
  /** The first bytes of the writable part: response header and sense. */
  readonly response = new Scatter();
  readonly responseBytes = new Uint8Array(responseHeader.size + maxSenseLength);
  readonly responseView = new DataView(this.responseBytes.buffer);
  readonly responsePages = new PageViews(this.responseBytes);
  /** Bytes of header and CDB that came last; behind them `header` is zero. */
  headerLength = 0;
  /** Unit address (target and LUN as one number). */
  address = 0;
  /** Data buffers of both directions together, in bytes. */
  dataLength = 0;

  /** The task is aborted too: its unit does nothing more for it. */
  override cancel(): void {
    super.cancel();
    this.task.isAborted = true;
  }
}
