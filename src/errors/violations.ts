/**
 * Every way in which a peer can break the rules of a ring or a transport, by name.
 *
 * One table: the code that a {@link ProtocolError} carries, the clause that was broken and one line for people. Tests
 * and fuzzers iterate over it, so a new rule is added here first.
 */
export const violations = {
  // Memory
  "address-outside-memory": { section: "virtio 1.2 §2.7.5", text: "a buffer lies outside the guest's memory" },
  "ring-outside-memory": { section: "virtio 1.2 §2.7", text: "a part of the ring lies outside the guest's memory" },
  "ring-misaligned": { section: "virtio 1.2 §2.7", text: "a part of the ring is not aligned as the layout wants" },
  "ring-size-invalid": { section: "virtio 1.2 §2.7", text: "the queue size is not a power of two within 1…32768" },
  "packed-ring-size-invalid": { section: "virtio 1.2 §2.8.10.1", text: "the queue size is not within 1…32768" },
  // What a driver can do to a device
  "avail-index-jump": {
    section: "virtio 1.2 §2.7.6",
    text: "the available index ran ahead by more than the queue size",
  },
  "head-out-of-range": { section: "virtio 1.2 §2.7.6", text: "an available entry names a descriptor past the table" },
  "head-in-flight": {
    section: "virtio 1.2 §2.7.13",
    text: "a chain was made available again while the device owns it",
  },
  "next-out-of-range": { section: "virtio 1.2 §2.7.5", text: "a descriptor's next field points past the table" },
  "chain-too-long": { section: "virtio 1.2 §2.7.5.2", text: "a chain has more descriptors than its table (a loop)" },
  "chain-too-large": { section: "virtio 1.2 §2.7.5.2", text: "a chain holds 2^32 bytes or more in one direction" },
  "descriptor-empty": { section: "virtio 1.2 §2.7.5", text: "a descriptor has length 0" },
  "readable-after-writable": { section: "virtio 1.2 §2.7.4.2", text: "a readable descriptor follows a writable one" },
  "indirect-not-negotiated": { section: "virtio 1.2 §2.7.5.3.1", text: "INDIRECT is set but was not negotiated" },
  "indirect-nested": { section: "virtio 1.2 §2.7.5.3.1", text: "INDIRECT is set inside an indirect table" },
  "indirect-with-next": { section: "virtio 1.2 §2.7.5.3.1", text: "INDIRECT and NEXT are set in one descriptor" },
  "indirect-length": { section: "virtio 1.2 §2.7.5.3.2", text: "an indirect table's length is 0 or no multiple of 16" },
  "indirect-outside-memory": {
    section: "virtio 1.2 §2.7.5.3",
    text: "an indirect table lies outside the guest's memory",
  },
  "ring-overrun": {
    section: "virtio 1.2 §2.8.17",
    text: "more descriptors were made available than the ring has",
  },
  "chain-not-available": {
    section: "virtio 1.2 §2.8.17",
    text: "a chain was made available before all of its descriptors were",
  },
  "available-descriptor-changed": {
    section: "virtio 1.2 §2.8.16",
    text: "a descriptor was available and then not, though the device did not use it",
  },
  // What a device can do to a driver
  "used-index-jump": { section: "virtio 1.2 §2.7.8", text: "the used index ran ahead of what is in flight" },
  "used-id-out-of-range": { section: "virtio 1.2 §2.7.8", text: "a used element names a descriptor past the table" },
  "used-id-not-in-flight": { section: "virtio 1.2 §2.7.8", text: "a used element names a chain that is not in flight" },
  "used-length-too-large": { section: "virtio 1.2 §2.7.8.2", text: "a used length exceeds what the chain can take" },
  "used-descriptor-changed": {
    section: "virtio 1.2 §2.8.15",
    text: "a descriptor was used and then not, though the driver did not make it available",
  },
  // Transports and life cycle
  "reset-never-ends": { section: "virtio 1.2 §4.1.4.3.2", text: "the status register did not read 0 after a reset" },
  "features-refused": { section: "virtio 1.2 §3.1.1", text: "the device did not keep FEATURES_OK" },
  "version-1-missing": { section: "virtio 1.2 §6.1", text: "a modern device does not offer VERSION_1" },
  "device-needs-reset": { section: "virtio 1.2 §2.1.2", text: "the device says that it needs a reset" },
  "device-gone": {
    section: "virtio 1.2 §2.1.2",
    text: "registers read all ones, or the status 0: the device was removed",
  },
  "config-never-settles": {
    section: "virtio 1.2 §2.5.1",
    text: "the configuration generation changes with every read",
  },
  "capability-invalid": {
    section: "virtio 1.2 §4.1.4",
    text: "a virtio capability is missing, too short or out of its BAR",
  },
  "queue-missing": { section: "virtio 1.2 §4.1.5.1.3", text: "a queue that the device type needs does not exist" },
  "vector-refused": { section: "virtio 1.2 §4.1.5.1.2", text: "the device could not map an MSI-X vector" },
  // Registers of virtio-mmio
  "register-width": { section: "virtio 1.2 §4.2.2.2", text: "a control register takes aligned 32-bit accesses only" },
  "register-unknown": { section: "virtio 1.2 §4.2.2.2", text: "there is no register at this offset" },
  "register-direction": {
    section: "virtio 1.2 §4.2.2.2",
    text: "a write-only register was read or a read-only one written",
  },
  "register-order": { section: "virtio 1.2 §4.2.2.2", text: "a register was used before or after its time" },
  "register-value": { section: "virtio 1.2 §4.2.2.2", text: "a register cannot take this value" },
  "status-bit-cleared": { section: "virtio 1.2 §2.1.1", text: "the driver cleared a bit of the device status" },
  // vhost-user messages
  "message-malformed": {
    section: "vhost-user, Message Specification",
    text: "a message header is not one of vhost-user",
  },
  "message-unknown": { section: "vhost-user, Message types", text: "there is no request with this number" },
  "message-size": { section: "vhost-user, Message Specification", text: "a payload has not the size of its request" },
  "message-descriptors": {
    section: "vhost-user, Ancillary data",
    text: "a message has too few, too many or the wrong file descriptors",
  },
  "message-refused": { section: "vhost-user, REPLY_ACK", text: "the other side refused a message" },
  "feature-not-offered": { section: "vhost-user, SET_FEATURES", text: "a feature was accepted that was not offered" },
  "memory-region-invalid": {
    section: "vhost-user, Memory region description",
    text: "a memory region overlaps, is too large for its file or cannot be mapped",
  },
  "vring-unknown": { section: "vhost-user, Vring descriptor", text: "there is no queue with this number" },
  "vring-running": { section: "vhost-user, Starting and stopping rings", text: "a running ring cannot be changed so" },
  "config-space-range": {
    section: "vhost-user, Device configuration space",
    text: "bytes outside the configuration space, or none that may be written",
  },
  "inflight-buffer-invalid": {
    section: "vhost-user, Inflight I/O tracking",
    text: "a buffer for requests in flight is too small or has the wrong place",
  },
  "reply-invalid": { section: "vhost-user, Message Specification", text: "a reply is not one to the request" },
  // Requests
  "request-header-short": {
    section: "virtio 1.2 §5.2.6, §5.6.6.1",
    text: "the readable part is shorter than the request's header",
  },
  "response-space-short": {
    section: "virtio 1.2 §5.2.6, §5.6.6.1",
    text: "the writable part is too short for the response",
  },
  "control-type-unknown": { section: "virtio 1.2 §5.6.6.2", text: "a control request has a type that does not exist" },
  "event-buffer-readable": { section: "virtio 1.2 §5.6.6.3", text: "an event buffer has readable parts" },
  "request-data-length": {
    section: "virtio 1.2 §5.2.6.1",
    text: "the data is no whole number of the units that its request type has",
  },
  "request-data-direction": {
    section: "virtio 1.2 §5.2.6",
    text: "data lies in descriptors of the wrong direction",
  },
  "request-over-limit": {
    section: "virtio 1.2 §5.2.4",
    text: "the request has more or longer segments than the device takes",
  },
  "sector-past-capacity": { section: "virtio 1.2 §5.2.6.1", text: "the request goes past the device's capacity" },
  "response-short": { section: "virtio 1.2 §5.2.6, §5.6.6.1", text: "the device wrote less than a response header" },
  // Packets
  "packet-offload-invalid": {
    section: "virtio 1.2 §5.1.6",
    text: "checksum or segmentation fields do not fit the packet or what was negotiated",
  },
  "packet-length-invalid": { section: "virtio 1.2 §5.1.6", text: "a packet is shorter or longer than any frame" },
  "packet-buffers-missing": {
    section: "virtio 1.2 §5.1.6.3.2",
    text: "a packet's num_buffers is 0 or more than the buffers that were used",
  },
} as const satisfies Record<string, { section: string; text: string }>;

/** The name of a rule of a ring or a transport. */
export type ViolationCode = keyof typeof violations;
