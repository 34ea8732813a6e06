import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createNetLoopback,
  patternFrame,
  plugIntoMachine,
  plugNetLoopback,
  RecordingPeer,
  ScriptedNetDevice,
} from "../../testing/index.js";
import { DeviceStatus, featureSet, hasFeature } from "../../transport/index.js";
import { consistentFeatures } from "./feature-rules.js";
import { netConfig, netFeatures, VirtioNetDevice, VirtioNetDriver } from "./index.js";

const f = netFeatures;

/** Our driver on a device that does what the test says. */
async function scripted(
  features: bigint,
  queueSizes?: readonly number[],
  transport: "legacy-le" | "modern" = "modern",
) {
  const device = new ScriptedNetDevice(features, queueSizes);
  const plugged = plugIntoMachine(device, 0x020000, { transport });
  const driver = await VirtioNetDriver.open(plugged.openTransport());
  return { ...plugged, device, driver };
}

test("R-701 queue 0 receives, 1 transmits, 2 controls; without CTRL_VQ there is no third", async () => {
  const peer = new RecordingPeer();
  const { device, driver, machine, close } = await createNetLoopback({ peer });
  assert.equal(device.queueSizes.length, 3);
  const seen: number[] = [];
  const { transport } = driver.link;
  const notify = transport.notify.bind(transport);
  transport.notify = (index) => {
    seen.push(index);
    notify(index);
  };
  await Promise.all([driver.send(patternFrame(device.filter.mac, driver.mac, 60)), machine.idle(10)]);
  await Promise.all([driver.addVlan(3), machine.idle(10)]);
  assert.deepEqual(seen, [1, 2]);
  assert.equal(peer.frames.length, 1);
  await close();
  const bare = new VirtioNetDevice(new RecordingPeer(), { withhold: featureSet(f.CTRL_VQ) });
  assert.equal(bare.queueSizes.length, 2);
});

test("R-702 feature bits have the numbers of the table", () => {
  const { CSUM, GUEST_CSUM, MAC, GSO, GUEST_TSO4, GUEST_TSO6, GUEST_ECN, GUEST_UFO, HOST_TSO4, HOST_TSO6 } = f;
  assert.deepEqual([CSUM, GUEST_CSUM, MAC, GSO, GUEST_TSO4, GUEST_TSO6], [0, 1, 5, 6, 7, 8]);
  assert.deepEqual([GUEST_ECN, GUEST_UFO, HOST_TSO4, HOST_TSO6, f.HOST_ECN, f.HOST_UFO], [9, 10, 11, 12, 13, 14]);
  assert.deepEqual([f.MRG_RXBUF, f.STATUS, f.CTRL_VQ, f.CTRL_RX, f.CTRL_VLAN], [15, 16, 17, 18, 19]);
  assert.equal(f.GUEST_ANNOUNCE, 21);
  const device = new VirtioNetDevice(new RecordingPeer(), { gso: true });
  assert.ok(hasFeature(device.features, f.GUEST_ANNOUNCE));
  assert.ok(hasFeature(device.legacyFeatures, f.GSO), "modern drivers do not see the deprecated bit");
});

test("R-703 mac at 0, status at 6 with LINK_UP 1 and ANNOUNCE 2, both for reading only", async () => {
  assert.deepEqual([netConfig.offset.mac, netConfig.offset.status], [0, 6]);
  for (const transport of ["legacy-be", "modern"] as const) {
    const { device, driver, machine, close } = await createNetLoopback({ transport });
    const status = () => driver.link.transport.readConfig(6, 2);
    assert.equal(status(), 1);
    device.setLink(false);
    assert.equal(status(), 0);
    assert.ok(device.announce());
    assert.equal(status(), 2);
    driver.link.transport.writeConfig(6, 2, 1);
    assert.equal(status(), 2, "what a driver writes there changes nothing");
    await machine.idle(10);
    await close();
  }
});

test("R-704 without STATUS the link counts as up; without MAC the driver makes an address up; MAC is accepted", async () => {
  const bare = await scripted(0n, [16, 16]);
  bare.device.config.status = 0;
  assert.ok(bare.driver.isLinkUp);
  assert.equal(bare.driver.info.mac, undefined);
  assert.equal(bare.driver.mac[0] & 3, 2, "of the local kind, not a group's");
  await bare.driver.close();
  const told = await scripted(featureSet(f.MAC, f.STATUS), [16, 16]);
  assert.deepEqual([...told.driver.mac], [2, 0, 0, 0, 0, 9]);
  told.device.config.status = 0;
  told.device.host.configChanged();
  await told.machine.idle(10);
  assert.equal(told.driver.isLinkUp, false);
  await told.driver.close();
});

/** Each feature that needs another, with a set in which only that one is missing. */
const lacking: readonly (readonly [keyof typeof f, readonly (keyof typeof f)[]])[] = [
  ["HOST_TSO4", ["HOST_TSO4"]],
  ["HOST_TSO6", ["HOST_TSO6"]],
  ["HOST_UFO", ["HOST_UFO"]],
  ["HOST_ECN", ["CSUM", "HOST_ECN"]],
  ["GUEST_TSO4", ["GUEST_TSO4"]],
  ["GUEST_TSO6", ["GUEST_TSO6"]],
  ["GUEST_UFO", ["GUEST_UFO"]],
  ["GUEST_ECN", ["GUEST_CSUM", "GUEST_ECN"]],
  ["CTRL_RX", ["CTRL_RX"]],
  ["CTRL_VLAN", ["CTRL_VLAN"]],
  ["MQ", ["MQ"]],
  ["GUEST_ANNOUNCE", ["CTRL_VQ", "GUEST_ANNOUNCE"]],
];

for (const [feature, set] of lacking) {
  test(`R-705 ${feature} goes only with what it needs: not offered, not accepted, refused`, async () => {
    const features = featureSet(...set.map((name) => f[name]));
    assert.equal(hasFeature(consistentFeatures(features), f[feature]), false);
    // The device does not offer it once its base is withheld.
    const withheld = Object.values(f).filter((bit) => !hasFeature(features, bit));
    const device = new VirtioNetDevice(new RecordingPeer(), { withhold: featureSet(...withheld), queuePairs: 2 });
    assert.equal(hasFeature(device.features, f[feature]), false);
    // The driver does not accept it from a device that offers it all the same.
    const { driver } = await scripted(features, [16, 16, 16]);
    assert.equal(driver.link.has(f[feature]), false);
    await driver.close();
    // The device refuses FEATURES_OK to a driver that picks it alone.
    const plugged = plugNetLoopback({ device: { queuePairs: 2 } });
    const transport = plugged.openTransport();
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
    const version1 = 1n << 32n;
    transport.writeFeatures(features | version1);
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
    assert.equal(transport.readStatus() & DeviceStatus.FeaturesOk, 0);
    transport.writeStatus(0);
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
    transport.writeFeatures(version1 | featureSet(f.MAC));
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
    assert.notEqual(transport.readStatus() & DeviceStatus.FeaturesOk, 0);
    await plugged.unplug();
  });
}

test("MQ, MTU and SPEED_DUPLEX: what the device says is what the driver reads", async () => {
  const device = { queuePairs: 3, mtu: 9000, speed: 10_000 };
  const { driver, device: half, machine, close } = await createNetLoopback({ device, driver: { queuePairs: 2 } });
  await machine.idle(5);
  const { info } = driver;
  assert.deepEqual([info.maxQueuePairs, info.mtu, info.speed, info.isFullDuplex], [3, 9000, 10_000, true]);
  assert.equal(driver.queuePairs, 2);
  assert.equal(half.pairsInUse, 2);
  await close();
});
