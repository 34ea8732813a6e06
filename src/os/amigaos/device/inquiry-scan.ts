/** Discovery of version 1.5: INQUIRY to each of 64 places, with buffers of its own, polled (chapter 7 of the reference). */
import { unitAddress } from "../../../scsi/index.js";
import { ScsiResponse } from "../../../virtio/index.js";
import type { OwnController } from "../virtio/own-controller.js";
import type { FoundUnit } from "./controller-io.js";
import type { OwnIo } from "./own-io.js";
import { PipelineSlot } from "./pipeline-slot.js";
import type { SlotOwner } from "./slot-owner.js";

/** Bytes of INQUIRY data, and the command for them. */
const inquiryLength = 36;
const inquiryCommand = Uint8Array.of(0x12, 0, 0, 0, inquiryLength, 0);
/** Times that a probe is sent when it ends with CHECK CONDITION. */
const attempts = 3;
/** Places that may stay without an answer, before nothing is expected of the others. */
const mostUnanswered = 2;

const checkCondition = 2;
const notConnected = 3;
const acceptedTypes: readonly number[] = [0x00, 0x05];

/** Looks at each place until `found` says that there are enough. */
export async function scanByInquiry(
  io: OwnIo,
  controller: OwnController,
  found: (unit: FoundUnit) => Promise<boolean>,
): Promise<void> {
  const { dma } = controller.memory;
  const { targets, luns } = controller.profile;
  const owner: SlotOwner = {
    waitsFor: undefined,
    signalInterrupt() {},
    waitForInterrupt: () => Promise.resolve(),
    transferEnded() {},
  };
  let unanswered = 0;
  let data = dma.allocate(inquiryLength, 16);
  let slot = new PipelineSlot(owner, 0, io.newRequest());
  for (let target = 0, isEnough = false; target < targets && !isEnough; target++) {
    for (let lun = 0; lun < luns && !isEnough; lun++) {
      const answer = await probe(io, slot, target, lun, data.address);
      if (answer === "no-answer") {
        if (io.failure !== undefined || ++unanswered > mostUnanswered) return;
        // The device may write to the old ones at any time: they are never used again.
        data = dma.allocate(inquiryLength, 16);
        slot = new PipelineSlot(owner, 0, io.newRequest());
        continue;
      }
      if (answer === "nothing") continue;
      const first = data.region.bytes[data.offset];
      const peripheralType = first & 0x1f;
      if (first >> 5 === notConnected || !acceptedTypes.includes(peripheralType)) continue;
      isEnough = !(await found({ target, lun, peripheralType }));
    }
  }
  dma.free(data);
  io.freeRequest(slot.scsi);
}

async function probe(
  io: OwnIo,
  slot: PipelineSlot,
  target: number,
  lun: number,
  buffer: number,
): Promise<"nothing" | "there" | "no-answer"> {
  const { scsi } = slot;
  scsi.pointAt(unitAddress(target, lun));
  for (let attempt = 0; attempt < attempts; attempt++) {
    scsi.cdb.fill(0);
    scsi.cdb.set(inquiryCommand);
    scsi.clearData();
    scsi.addIn(buffer, inquiryLength);
    if ((await io.send(slot, true)) !== 0) return "no-answer";
    if (scsi.response !== ScsiResponse.Ok) return "nothing";
    if (scsi.status !== checkCondition) return scsi.status === 0 ? "there" : "nothing";
  }
  return "nothing";
}
