/** Numbers that both halves of a device type take from one table, written out once more: only so a change of them shows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BalloonQueue,
  balloonFeatures,
  balloonPageSize,
  MacCommand,
  NameServiceFlag,
  NetControl,
  NetHeaderFlag,
  netHeader,
  RpmsgQueue,
  RxCommand,
  VlanCommand,
} from "./index.js";

test("R-707: the header's fields by their offsets", () => {
  assert.deepEqual(
    { ...netHeader.offset },
    { flags: 0, gsoType: 1, hdrLen: 2, gsoSize: 4, csumStart: 6, csumOffset: 8, numBuffers: 10 },
  );
  assert.equal(netHeader.size, 12);
  assert.equal(NetHeaderFlag.NeedsChecksum, 1);
});

test("R-715, R-716: classes of control commands and their commands", () => {
  assert.deepEqual([NetControl.Rx, NetControl.Mac, NetControl.Vlan, NetControl.Announce], [0, 1, 2, 3]);
  assert.deepEqual([RxCommand.Promiscuous, RxCommand.AllMulticast], [0, 1]);
  assert.deepEqual([MacCommand.TableSet, VlanCommand.Add, VlanCommand.Delete], [0, 0, 1]);
});

test("R-1101, R-1103: the balloon's queues, features and unit", () => {
  assert.deepEqual([BalloonQueue.Inflate, BalloonQueue.Deflate, BalloonQueue.Statistics], [0, 1, 2]);
  assert.deepEqual([balloonFeatures.MUST_TELL_HOST, balloonFeatures.STATS_VQ], [0, 1]);
  assert.equal(balloonPageSize, 4096);
});

test("R-1201, R-1206: rpmsg's queues, and what became of a service", () => {
  assert.deepEqual([RpmsgQueue.Receive, RpmsgQueue.Transmit], [0, 1]);
  assert.deepEqual([NameServiceFlag.Create, NameServiceFlag.Destroy], [0, 1]);
});
