/** What virtio 0.9.5 asks of each device type: network, block, console, entropy, balloon, rpmsg. */
import type { RequirementPart } from "./list.js";

/** Parts 7 to 12. */
export const deviceParts: readonly RequirementPart[] = [
  {
    title: "Network device",
    rules: [
      ["R-701", "both", "Queues: receive, transmit, and control with CTRL_VQ"],
      ["R-702", "both", "Feature bits, GUEST_ANNOUNCE (21) among them"],
      ["R-703", "both", "Configuration: address, and with STATUS the bits LINK_UP and ANNOUNCE"],
      ["R-704", "driver", "Link is up without STATUS; the device's address with MAC, else one made up"],
      ["R-705", "both", "Segmentation features only with the checksum feature of their direction"],
      ["R-706", "driver", "No segmentation of packets with ECN without HOST_ECN"],
      ["R-707", "both", "The header: 10 bytes, 12 with MRG_RXBUF"],
      ["R-708", "both", "Partial checksums: the pseudo header's sum, where to start, where to store"],
      ["R-709", "both", "gso_size is what a packet carries beyond its header; hdr_len is a hint"],
      ["R-710", "driver", "When sending num_buffers is 0; header and packet are one readable buffer"],
      ["R-711", "driver", "Sizes of receive buffers by what was negotiated, the header added"],
      ["R-712", "device", "MRG_RXBUF: num_buffers counts buffers; only the first has a header"],
      ["R-713", "device", "NEEDS_CSUM and gso types only where the driver takes them"],
      ["R-714", "both", "Control commands: class, command, data; one byte comes back"],
      ["R-715", "both", "Receive modes, address tables, VLANs"],
      ["R-716", "both", "ANNOUNCE_ACK, without data; GUEST_ANNOUNCE needs CTRL_VQ"],
      ["R-717", "both", "An announcement: bit and configuration change, packets, acknowledgement, bit gone"],
      ["R-718", "driver", "Packets first, then the acknowledgement"],
    ],
  },
  {
    title: "Block device",
    rules: [
      ["R-801", "both", "One queue; the feature bits"],
      ["R-802", "both", "The configuration's fields, each but the capacity with its bit"],
      ["R-803", "both", "Nothing past the capacity; sectors are 512 bytes whatever blk_size says"],
      ["R-804", "device", "RO: every write fails"],
      ["R-805", "both", "A request: type, priority, sector, data, and the status as last writable byte"],
      ["R-806", "both", "Types: IN, OUT, SCSI_CMD, SCSI_CMD_OUT, FLUSH, FLUSH_OUT, and BARRIER as a flag"],
      ["R-807", "device", "A barrier: what came before ends before it, what follows starts after it"],
      ["R-808", "both", "Status: OK, IOERR, UNSUPP; sector 0 where it means nothing; priority is a hint"],
      ["R-809", "both", "SCSI packet commands: command, data, sense, four words, status"],
      ["R-810", "both", "The historic framing of both kinds of requests"],
      ["R-811", "both", "xv6's request: 16 bytes, data, one byte"],
    ],
  },
  {
    title: "Console device",
    rules: [
      ["R-901", "both", "Queues of port 0, with MULTIPORT the control queues and further ports'"],
      ["R-902", "both", "Features SIZE and MULTIPORT; columns, rows, number of ports"],
      ["R-903", "device", "With SIZE a resize is a configuration change"],
      ["R-904", "both", "Control messages: id, event, value; their numbers"],
      ["R-905", "both", "DEVICE_READY, PORT_ADD, PORT_READY, then names and opens; the same when plugged later"],
    ],
  },
  {
    title: "Entropy device",
    rules: [["R-1001", "both", "One queue; writable buffers are filled with random bytes; a driver takes less too"]],
  },
  {
    title: "Balloon device",
    rules: [
      ["R-1101", "both", "Queues and features: inflate, deflate, statistics; MUST_TELL_HOST, STATS_VQ"],
      ["R-1102", "driver", "Follows num_pages, and writes actual when the device is done"],
      ["R-1103", "both", "Page numbers are 32 bits, in units of 4096 bytes"],
      ["R-1104", "both", "The configuration is little-endian in any case"],
      ["R-1105", "driver", "MUST_TELL_HOST: no page is used again before the device has the deflate buffer"],
      ["R-1106", "both", "Statistics: one buffer, which the device keeps until it asks again"],
      ["R-1107", "both", "An entry is 10 bytes, tag and value; what is not known is left out"],
      ["R-1108", "both", "The tags of statistics"],
    ],
  },
  {
    title: "rpmsg device",
    rules: [
      ["R-1201", "both", "Queues receive and transmit, feature NS, no configuration"],
      ["R-1202", "driver", "Fills the receive queue with buffers"],
      ["R-1203", "both", "The header of a message: 16 bytes; the length is the payload's"],
      ["R-1204", "both", "A message longer than its buffer is refused"],
      ["R-1205", "both", "A name service message: name, address, flags"],
      ["R-1206", "both", "CREATE 0, DESTROY 1, all else refused"],
      ["R-1207", "both", "CREATE makes a channel, DESTROY removes it"],
      ["R-1208", "both", "Many channels on two queues, told apart by addresses"],
      ["R-1209", "both", "The name service's address, buffer sizes and reserved addresses as Linux has them"],
    ],
  },
];
