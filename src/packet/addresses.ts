/** Ethernet and IPv4 addresses as people write them. */

/** Bytes of an Ethernet header without a VLAN tag. */
export const ethernetHeaderLength = 14;
/** Bytes of an Ethernet address. */
export const macLength = 6;
/** To everybody. */
export const broadcastMac: Uint8Array = new Uint8Array(macLength).fill(0xff);

/** Ethernet types. */
export const EtherType = { IPv4: 0x0800, Arp: 0x0806, Rarp: 0x8035, Vlan: 0x8100, IPv6: 0x86dd } as const;

/** `52:54:00:12:34:56` */
export function formatMac(mac: Uint8Array): string {
  return [...mac].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** @throws RangeError when it is not six bytes in hexadecimal with colons between. */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new RangeError(`${text} is no Ethernet address`);
  return Uint8Array.from(text.split(":"), (byte) => Number.parseInt(byte, 16));
}

/** `10.0.2.15` of a 32-bit number. */
export function formatIPv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

/** @throws RangeError when it is not four numbers of 0 to 255 with dots between. */
export function parseIPv4(text: string): number {
  const parts = text.split(".");
  const isGood = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
  if (!isGood) throw new RangeError(`${text} is no IPv4 address`);
  return parts.reduce((address, part) => address * 256 + Number(part), 0);
}
