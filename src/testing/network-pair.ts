/** Two user networks on a cable between them, each other's only neighbour. */
import { type Packet, UserNetwork } from "../packet/index.js";

/** The cable's ends: `near` is 10.0.2.2, `far` is what its DHCP would give. */
export interface NetworkPair {
  readonly near: UserNetwork;
  readonly far: UserNetwork;
}

/**
 * Frames arrive a turn of the event loop later, as they do behind an adapter.
 * @param loses whether a frame is lost: by its number, of either direction, or by what it is
 */
export function networkPair(loses: (count: number, frame: Packet) => boolean = () => false): NetworkPair {
  const near = new UserNetwork();
  const far = new UserNetwork({ address: "10.0.2.15", clientAddress: "10.0.2.2", mac: "52:55:0a:00:02:0f" });
  let count = 0;
  const cable = (from: UserNetwork, to: UserNetwork) =>
    from.connect({
      receive(packet: Packet) {
        const frame = packet.copy();
        if (!loses(count++, frame)) setTimeout(() => to.deliver(frame));
        return true;
      },
      resume: () => {},
    });
  cable(near, far);
  cable(far, near);
  return { near, far };
}
