/** What happens on the bus, as the driver hears of it: events of virtio 1.2 §5.6.6.3, and requests that end. */
import { type BusEvent, encodeVirtioLun, unitAddress } from "../../scsi/index.js";
import type { DeviceHost } from "../../transport/index.js";
import type { VirtioScsiDevice } from "./device.js";
import type { EventQueue } from "./event-queue.js";
import { AsyncEvent, ScsiEvent, ScsiResponse, scsiFeatures, TransportResetReason } from "./protocol.js";

/** Ends the requests that the event ends, and reports what the driver negotiated to hear. */
export function tellBusEvent(device: VirtioScsiDevice, host: DeviceHost, events: EventQueue, event: BusEvent): void {
  const address = unitAddress(event.target, event.lun);
  const lun = encodeVirtioLun(address);
  switch (event.kind) {
    case "unit-added":
      if (host.has(scsiFeatures.HOTPLUG)) events.report(ScsiEvent.TransportReset, lun, TransportResetReason.Rescan);
      return;
    case "unit-removed":
      device.cancel((request) => request.address === address, ScsiResponse.TargetFailure);
      device.subscriptions.delete(address);
      if (host.has(scsiFeatures.HOTPLUG)) events.report(ScsiEvent.TransportReset, lun, TransportResetReason.Removed);
      return;
    case "reset":
      // HARD needs no feature (0.9.5 appendix I).
      device.cancel((request) => request.address === address, ScsiResponse.Reset);
      events.report(ScsiEvent.TransportReset, lun, TransportResetReason.Hard);
      return;
    case "medium-changed":
      device.notifyAsync(event.target, event.lun, AsyncEvent.MediaChange);
      // A wish changes nothing yet: only who subscribed hears of it.
      if (event.change === "eject-requested") return;
      reportChange(host, events, lun, event.code);
      return;
    case "parameter-changed":
      reportChange(host, events, lun, event.code);
      return;
    case "tasks-preempted":
      if (event.initiatorPort !== device.nexus.initiatorPort) return;
      device.cancel((request) => request.address === address, ScsiResponse.Aborted);
      return;
  }
}

function reportChange(
  host: DeviceHost,
  events: EventQueue,
  lun: Uint8Array,
  { asc, ascq }: { readonly asc: number; readonly ascq: number },
): void {
  if (host.has(scsiFeatures.CHANGE)) events.report(ScsiEvent.ParameterChange, lun, asc | (ascq << 8));
}
