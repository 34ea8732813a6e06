/**
 * An I_T nexus: one initiator as one target port sees it. Unit attentions are queued for each nexus of a unit, and
 * reservations are held by the nexus's initiator port. A transport makes one nexus for each initiator and uses it for
 * all its tasks.
 */
import { initiatorPortName } from "./transport-id.js";

export class Nexus {
  /** For people: `virtio-scsi 0`, `a4091 id 7`. */
  readonly initiatorName: string;
  /**
   * Who the initiator is to persistent reservations: an iSCSI name made from `initiatorName`. It is the same after a
   * restart, so two initiators that share a unit need different names.
   */
  readonly initiatorPort: string;

  constructor(initiatorName: string) {
    this.initiatorName = initiatorName;
    this.initiatorPort = initiatorPortName(initiatorName);
  }
}
