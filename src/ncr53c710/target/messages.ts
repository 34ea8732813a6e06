/** SCSI-2 messages: codes, and reading what an initiator sends byte by byte. */

/** Message codes (SCSI-2 §6.6). */
export const Message = {
  CommandComplete: 0x00,
  Extended: 0x01,
  SaveDataPointer: 0x02,
  RestorePointers: 0x03,
  Disconnect: 0x04,
  InitiatorDetectedError: 0x05,
  Abort: 0x06,
  Reject: 0x07,
  NoOperation: 0x08,
  ParityError: 0x09,
  BusDeviceReset: 0x0c,
  AbortTag: 0x0d,
  ClearQueue: 0x0e,
  SimpleTag: 0x20,
  HeadOfQueueTag: 0x21,
  OrderedTag: 0x22,
  IgnoreWideResidue: 0x23,
  Identify: 0x80,
} as const;

/** COMMAND COMPLETE, which every command ends with: one array for all. */
export const commandComplete: readonly number[] = [Message.CommandComplete];

/** IDENTIFY of each LUN as targets send it: it comes with every reselection. */
export const identifyMessages: readonly (readonly number[])[] = Array.from({ length: 8 }, (_, lun) => [
  Message.Identify | lun,
]);
/** SIMPLE QUEUE TAG of each tag, likewise. */
export const simpleTagMessages: readonly (readonly number[])[] = Array.from({ length: 256 }, (_, tag) => [
  Message.SimpleTag,
  tag,
]);

/** Codes of extended messages. */
export const ExtendedMessage = { ModifyDataPointer: 0x00, Synchronous: 0x01, Wide: 0x03 } as const;

/** Bytes of the longest extended message: header and 256 arguments. */
const longest = 258;

/** Collects one message at a time. */
export class MessageReader {
  readonly bytes = new Uint8Array(longest);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  /** Takes a byte; true when the message is complete and stands in `bytes` until {@link clear}. */
  take(byte: number): boolean {
    this.bytes[this.length++] = byte;
    return this.length === this.#expected();
  }

  #expected(): number {
    const first = this.bytes[0];
    // 20h to 2Fh have two bytes.
    if (first >= 0x20 && first < 0x30) return 2;
    if (first !== Message.Extended) return 1;
    if (this.length < 2) return longest;
    return 2 + (this.bytes[1] === 0 ? 256 : this.bytes[1]);
  }
}
