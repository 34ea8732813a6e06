/**
 * An I_T nexus: one initiator as one target port sees it. Unit attentions are queued for each nexus of a unit; later
 * reservations are held by one. A transport makes one nexus for each initiator and uses it for all its tasks.
 */
export class Nexus {
  /** For people: `virtio-scsi 0`, `a4091 id 7`. */
  readonly initiatorName: string;

  constructor(initiatorName: string) {
    this.initiatorName = initiatorName;
  }
}
