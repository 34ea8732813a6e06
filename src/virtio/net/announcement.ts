/** The frame by which an adapter that knows no IP address tells switches where it is: a reverse ARP of itself. */
import { broadcastMac, EtherType, ethernetHeaderLength, macLength } from "../../packet/index.js";

/** Ethernet's shortest frame, without its check sequence. */
const shortestFrame = 60;
const reverseRequest = 3;

/** A new frame. */
export function announcementFrame(mac: Uint8Array): Uint8Array {
  const frame = new Uint8Array(shortestFrame);
  const view = new DataView(frame.buffer);
  frame.set(broadcastMac);
  frame.set(mac, macLength);
  view.setUint16(12, EtherType.Rarp);
  const at = ethernetHeaderLength;
  view.setUint32(at, 0x0001_0800);
  view.setUint16(at + 4, 0x0604);
  view.setUint16(at + 6, reverseRequest);
  frame.set(mac, at + 8);
  frame.set(mac, at + 18);
  return frame;
}
