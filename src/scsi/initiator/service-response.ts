/**
 * How far a command came, whatever carried it (SAM-5 §5.1 service response). The numbers are those of virtio-scsi
 * (virtio 1.2 §5.6.6.1), so that its driver has nothing to translate; other host adapters use the same.
 */
export const ScsiResponse = {
  /** The unit answered: its status counts. */
  Ok: 0,
  /** The unit answered and had more data to move than there was room. */
  Overrun: 1,
  Aborted: 2,
  /** No such target. */
  BadTarget: 3,
  /** A reset ended the command. */
  Reset: 4,
  /** Try again later. */
  Busy: 5,
  TransportFailure: 6,
  TargetFailure: 7,
  NexusFailure: 8,
  Failure: 9,
  FunctionSucceeded: 10,
  FunctionRejected: 11,
  IncorrectLun: 12,
} as const;

/** The name of a response code. */
export function responseName(response: number): string {
  return Object.entries(ScsiResponse).find(([, value]) => value === response)?.[0] ?? `response ${response}`;
}
