/**
 * What virtio 0.9.5 asks, one rule a line, and what the xv6 kernel's header and driver ask on top of it. Numbers are ours:
 * the first digits are the part, in the order of the specification's text.
 */

/** Who has to keep a rule. */
export type RequirementHalf = "driver" | "device" | "both";

/** A rule: its id, who keeps it, and what it says in a few words. */
export type Requirement = readonly [id: string, half: RequirementHalf, title: string];

/** A part of the specification. */
export interface RequirementPart {
  readonly title: string;
  readonly rules: readonly Requirement[];
}

/** What every device has in common. */
export const commonParts: readonly RequirementPart[] = [
  {
    title: "Device status",
    rules: [
      ["R-101", "both", "One byte: ACKNOWLEDGE 1, DRIVER 2, DRIVER_OK 4, FAILED 128"],
      ["R-102", "device", "Writing 0 resets: the status reads 0, no vector is mapped"],
      ["R-103", "driver", "Every value written has some bit set, but for the reset"],
      ["R-104", "driver", "Reset, ACKNOWLEDGE, DRIVER, set-up, features, DRIVER_OK, in this order"],
      ["R-105", "both", "Buffers come after DRIVER_OK; historic drivers that use a queue earlier are served"],
      ["R-106", "both", "FAILED when a step fails; after it a reset before the next start"],
      ["R-107", "device", "DRIVER may come late or never; nothing waits for it"],
      ["R-108", "both", "FEATURES_OK and DEVICE_NEEDS_RESET do not exist for a legacy device"],
    ],
  },
  {
    title: "Feature bits",
    rules: [
      ["R-201", "device", "32 bits of features in the first field"],
      ["R-202", "both", "Bits 0 to 23 are the device type's, those from 24 on the queue's and negotiation's"],
      ["R-203", "both", "Bits 30 and 31 are neither offered nor taken, and no header fields follow from them"],
      ["R-204", "both", "The driver takes a subset of what is offered; only a reset negotiates again"],
      [
        "R-205",
        "both",
        "A configuration field that is not always there has a bit, which the driver checks before it reads",
      ],
      ["R-206", "both", "Bits that the other side does not know are left out, or the driver sets FAILED"],
      ["R-207", "device", "NOTIFY_ON_EMPTY (24): an interrupt when all is used, even a suppressed one"],
      ["R-208", "driver", "INDIRECT_DESC (28): tables only after negotiation"],
      ["R-209", "both", "EVENT_IDX (29): with it event fields count and flags do not, without it the other way round"],
      ["R-210", "both", "No other bits are independent of the device type: 24, 28 and 29"],
      ["R-211", "both", "27 is ANY_LAYOUT for xv6, which 0.9.5 does not know"],
    ],
  },
  {
    title: "PCI: discovery and header",
    rules: [
      ["R-301", "both", "Vendor 0x1AF4, device 0x1000 to 0x103F, revision 0; the subsystem is the device type"],
      ["R-302", "both", "Type numbers: 1 net, 2 block, 3 console, 4 entropy, 5 balloon, 7 rpmsg, 8 SCSI host"],
      ["R-303", "both", "The header's fields, their offsets and widths, little-endian"],
      ["R-304", "both", "With MSI-X the configuration vector at 20 and the queue vector at 22"],
      ["R-305", "both", "The configuration at 24 with MSI-X and at 20 without; it moves at once, both ways"],
      ["R-306", "both", "Nothing between the header and the configuration"],
      ["R-307", "both", "Header fields at their natural width, the configuration at any"],
      ["R-308", "both", "Configuration and queues in the guest's byte order"],
      ["R-309", "both", "Type numbers for experiments go down from 65535"],
    ],
  },
  {
    title: "PCI: MSI-X vectors",
    rules: [
      ["R-401", "device", "Vectors 0 to 0x7FF map an event, 0xFFFF unmaps it"],
      ["R-402", "device", "A vector register reads what is mapped; nothing is after a reset"],
      ["R-403", "both", "A mapping that fails reads NO_VECTOR, and the driver reads back"],
      ["R-404", "driver", "Then it tries fewer vectors, or turns MSI-X off"],
      ["R-405", "device", "A vector for each queue, one for the configuration"],
      ["R-406", "device", "No message for an event that is not mapped"],
      ["R-407", "both", "With MSI-X the ISR status is not used"],
      ["R-408", "both", "One vector for everything is enough"],
    ],
  },
  {
    title: "Virtqueue: set-up and layout",
    rules: [
      ["R-501", "both", "The queue's size is a power of two, 0 where there is none, and cannot be changed"],
      ["R-502", "driver", "Zeroed memory at a multiple of 4096, its address divided by 4096"],
      ["R-503", "both", "Descriptor table, available ring, padding, used ring, event fields at their ends"],
      ["R-504", "both", "The whole size by the formula, corrected where it leaves fields out"],
      ["R-505", "both", "Sizes for any alignment, corrected where fields would lie on each other"],
      ["R-506", "both", "A descriptor: address, length, flags NEXT 1, WRITE 2, INDIRECT 4, next"],
      ["R-507", "both", "No chain over 2^32 bytes"],
      ["R-508", "both", "At most 32768 descriptors"],
      ["R-509", "both", "Indirect tables: length / 16 descriptors from index 0, none inside another"],
      ["R-510", "both", "Readable or writable, never both; readable first; at least one"],
      ["R-511", "both", "xv6's ring: 8 entries, three addresses of their own, no event index"],
    ],
  },
  {
    title: "Virtqueue: operation",
    rules: [
      ["R-601", "both", "A chain's head goes into the available ring and comes back in the used ring"],
      ["R-602", "driver", "Descriptors, entries, barrier, index, barrier, look whether to notify, notify"],
      ["R-603", "driver", "The entry's place is modulo the size; the index wraps at 65536"],
      ["R-604", "driver", "Without EVENT_IDX: notifies unless NO_NOTIFY is set"],
      ["R-605", "driver", "With EVENT_IDX: notifies when the index passes avail_event"],
      ["R-606", "both", "Notifying without need is allowed, leaving out a needed one is not"],
      ["R-607", "both", "A suppressed queue may be notified when descriptors run out"],
      ["R-608", "device", "Id and length, then the index, then the decision about the interrupt"],
      ["R-609", "both", "The length counts what was written; old devices put other values there"],
      ["R-610", "device", "Without EVENT_IDX: interrupts unless NO_INTERRUPT is set"],
      ["R-611", "device", "With EVENT_IDX: interrupts when the index passes used_event"],
      ["R-612", "device", "Without MSI-X: ISR bit 0 and the line; reading clears"],
      ["R-613", "both", "A configuration change is ISR bit 1; one interrupt may carry both"],
      ["R-614", "device", "With MSI-X a configuration change is a message on its vector, if it has one"],
      ["R-615", "driver", "After enabling interrupts it looks again"],
      ["R-616", "both", "Descriptor boundaries mean nothing to a device; a cautious driver keeps to the historic ones"],
      ["R-617", "both", "The queue's index, 16 bits, into queue notify"],
    ],
  },
];
