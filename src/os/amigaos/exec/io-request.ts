/** I/O requests as programs fill them in: IOStdReq, IOExtTD and what NSD makes of them; flags and errors. */
import { ExecMessage, type MessagePort } from "./port.js";

/** io_Error values: exec/errors.h, devices/trackdisk.h, devices/scsidisk.h. Signed bytes. */
export const IoError = {
  None: 0,
  OpenFail: -1,
  Aborted: -2,
  NoCommand: -3,
  BadLength: -4,
  BadAddress: -5,
  UnitBusy: -6,
  SelfTest: -7,
  NotSpecified: 20,
  NoSecHdr: 21,
  BadSecHdr: 27,
  WriteProt: 28,
  DiskChanged: 29,
  SeekError: 30,
  NoMem: 31,
  BadUnitNum: 32,
  BadDriveType: 33,
  DriveInUse: 34,
  SelfUnit: 40,
  Dma: 41,
  Phase: 42,
  Parity: 43,
  SelTimeout: 44,
  BadStatus: 45,
} as const;

/** io_Flags. */
export const IoFlag = { Quick: 1 } as const;

/** What io_Device and io_Unit hold after an open that failed or a close: all ones. */
export const poisonedHandle = 0xffff_ffff;

/** Where a request is, for exec: what CheckIO looks at. */
export type RequestState = "idle" | "sent" | "replied";

/** ln_Type of a request: a message on its way, or one that came back. */
export class IoRequest<Device = unknown, Unit = unknown> extends ExecMessage {
  ioDevice: Device | typeof poisonedHandle | undefined;
  ioUnit: Unit | typeof poisonedHandle | undefined;
  ioCommand = 0;
  /** {@link IoFlag}. */
  ioFlags = 0;
  /** {@link IoError}. */
  ioError = 0;
  /** Bytes moved; on entry of 64-bit commands the high word of the offset. Unsigned 32 bits. */
  ioActual = 0;
  ioLength = 0;
  /** Address in the program's address space ({@link ExecMemory}); 0 is NULL. */
  ioData = 0;
  /** Bytes; the low word of the offset. Unsigned 32 bits. */
  ioOffset = 0;
  /** IOExtTD: the change count that the program knows; for ETD commands. */
  iotdCount = 0;
  /** IOExtTD. */
  iotdSecLabel = 0;
  state: RequestState = "idle";

  constructor(replyPort?: MessagePort) {
    super();
    this.replyPort = replyPort;
  }
}

/** ReplyMsg, for requests: the request goes back to whoever sent it. */
export function replyRequest(request: IoRequest): void {
  request.state = "replied";
  request.replyPort?.put(request);
}
