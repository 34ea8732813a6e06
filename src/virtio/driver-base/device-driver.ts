/** A driver whose queues are each of their own kind: packets, characters, pages, messages. */
import { DriverLife } from "./driver-life.js";

/** What such a device has in flight at a freeze fails, and until the restore everything is refused. */
export abstract class DeviceDriver extends DriverLife {
  /** Looks at all queues, and at how the device is: for those who have no interrupts. */
  poll(): void {
    this.lookAtQueues();
    this.configChanged();
  }
}
