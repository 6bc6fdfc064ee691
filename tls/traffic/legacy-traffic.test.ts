import { concatBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { Slab } from '../../stack/wire/slab.ts';
import { AlertDescription, AlertLevel } from '../alerts.ts';
import { type TlsVersion, TRAFFIC_STATE_BYTES } from '../client.ts';
import { MAX_TRIPLE_DES_BLOCKS } from '../limits.ts';
import { issue } from '../testing/certificates.ts';
import { shakeHands12, testClient, testServer12 } from '../testing/client-under-test.ts';
import type { ServerScript12 } from '../testing/scripted-server12.ts';
import { failure, open, seal } from '../testing/sealed-records.ts';
import { ContentType, versionNumber } from '../wire/codes.ts';
import { TrafficOpener } from './opener.ts';
import { MAX_SEALED_BYTES, TrafficSealer } from './sealer.ts';
import { TrafficOffset } from './state.ts';

const { ApplicationData, Alert, Handshake } = ContentType;
const RC4 = 0x0004;
const AES = 0x002f;
const TRIPLE_DES = 0x000a;
const rsa = issue({ subject: 'server.test', key: 'rsa2048' });

function connected(
  suite: number,
  version: TlsVersion,
  script: Partial<ServerScript12> = {},
): { readonly ours: Slab; readonly theirs: Slab } {
  const client = testClient({ fallback: true });
  const identity = { chain: [rsa.der], privateKey: rsa.privateKey };
  const server = testServer12({ ...identity, suite, version, ...script });
  shakeHands12(client, server);
  const ours = new Slab(new Uint8Array(new SharedArrayBuffer(TRAFFIC_STATE_BYTES)));
  client.exportTraffic(ours, 0);
  return { ours, theirs: server.traffic() };
}

function lengthsOf(records: Uint8Array): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < records.length; at += 5 + lengths.at(-1)!) {
    lengths.push((records[at + 3]! << 8) | records[at + 4]!);
  }
  return lengths;
}

test('BEAST: CBC of TLS 1.0 goes out as one byte and the rest, everything else in one record', (t) => {
  const data = new Uint8Array(100);
  for (const suite of [AES, TRIPLE_DES]) {
    const { ours, theirs } = connected(suite, 'TLSv1');
    const sealer = new TrafficSealer(ours, 0);
    const records = seal(sealer, ApplicationData, data);
    t.is(lengthsOf(records).length, 2);
    const opener = new TrafficOpener(theirs, 0);
    const firstBytes = 5 + lengthsOf(records)[0]!;
    t.is(open(opener, records.subarray(0, firstBytes)).result, 1);
    t.is(open(opener, records.subarray(firstBytes)).result, 99);
    for (const length of [0, 1])
      t.is(lengthsOf(seal(sealer, ApplicationData, new Uint8Array(length))).length, 1);
    t.is(lengthsOf(seal(sealer, ApplicationData, new Uint8Array(2))).length, 2);
    t.is(lengthsOf(seal(sealer, ApplicationData, new Uint8Array(16384))).length, 2);
    t.is(lengthsOf(seal(sealer, Handshake, data)).length, 1);
  }
  for (const [suite, version] of [
    [AES, 'TLSv1.1'],
    [AES, 'TLSv1.2'],
    [RC4, 'TLSv1'],
  ] as const) {
    t.is(
      lengthsOf(seal(new TrafficSealer(connected(suite, version).ours, 0), ApplicationData, data)).length,
      1,
    );
  }
});

test('what a call of the sealer writes at most is known, in every version', (t) => {
  for (const [suite, version] of [
    [0xc028, 'TLSv1.2'],
    [AES, 'TLSv1'],
    [AES, 'TLSv1.1'],
  ] as const) {
    for (const encryptThenMac of [false, true]) {
      const signature = { scheme: 0x0804, hash: 'sha256', pss: true };
      const script = { encryptThenMac, ...(version === 'TLSv1.2' ? { signature } : {}) };
      const { ours } = connected(suite, version, script);
      Atomics.store(ours.bytes, TrafficOffset.RefusalOwed, 1);
      const records = seal(new TrafficSealer(ours, 0), ApplicationData, new Uint8Array(16384));
      t.true(records.length <= MAX_SEALED_BYTES);
      t.is(records[0], Alert);
    }
  }
});

for (const [suite, version] of [
  [RC4, 'TLSv1'],
  [AES, 'TLSv1'],
  [AES, 'TLSv1.2'],
  [0x009c, 'TLSv1.2'],
] as const) {
  test(`a Finished in many records: both sides count them, suite ${suite.toString(16)} ${version}`, (t) => {
    const { ours, theirs } = connected(suite, version, { fragmentBytes: 5 });
    t.is(ours.view.getUint32(TrafficOffset.ReadSeqLow, true), 4);
    t.is(ours.view.getUint32(TrafficOffset.WriteSeqLow, true), 1);
    const data = Uint8Array.of(1, 2, 3);
    const records = seal(new TrafficSealer(theirs, 0), ApplicationData, data);
    t.deepEqual(
      open(new TrafficOpener(ours, 0), records).data,
      version === 'TLSv1' && suite === AES ? Uint8Array.of(2, 3) : data,
    );
  });

  test(`damaged, moved, retyped records and ones of another version are refused, suite ${suite.toString(16)} ${version}`, (t) => {
    const { ours, theirs } = connected(suite, version);
    const fresh = (): TrafficOpener => {
      const copy = new Slab(Uint8Array.from(ours.bytes));
      return new TrafficOpener(copy, 0);
    };
    const sealer = new TrafficSealer(theirs, 0);
    const record = seal(sealer, Alert, Uint8Array.of(1, 90));
    const second = seal(sealer, Alert, Uint8Array.of(1, 90));
    t.deepEqual(failure(fresh(), record), ['none', -1]);
    t.deepEqual(failure(fresh(), second), ['BadRecordMac', AlertDescription.BadRecordMac]);
    t.deepEqual(failure(fresh(), concatBytes(record, record)), [
      'BadRecordMac',
      AlertDescription.BadRecordMac,
    ]);
    for (let at = 5; at < record.length; at++) {
      const damaged = record.slice();
      damaged[at] = damaged[at]! ^ 1;
      t.deepEqual(failure(fresh(), damaged), ['BadRecordMac', AlertDescription.BadRecordMac]);
    }
    const retyped = record.slice();
    retyped[0] = ApplicationData;
    t.deepEqual(failure(fresh(), retyped), ['BadRecordMac', AlertDescription.BadRecordMac]);
    const other = record.slice();
    other[2] = (versionNumber(version) & 0xff) ^ 1;
    t.deepEqual(failure(fresh(), other), ['WrongRecordVersion', AlertDescription.ProtocolVersion]);
  });

  test(`the keys and the state of the cipher are wiped, suite ${suite.toString(16)} ${version}`, (t) => {
    const { ours, theirs } = connected(suite, version);
    const isZero = (from: number, to: number): boolean =>
      ours.bytes.subarray(from, to).every((byte) => byte === 0);
    const close = seal(new TrafficSealer(theirs, 0), Alert, Uint8Array.of(1, 0));
    const into = new Uint8Array(200);
    new TrafficSealer(ours, 0).alert(AlertLevel.Warning, AlertDescription.CloseNotify, into, 0);
    t.true(isZero(TrafficOffset.WriteKey, TrafficOffset.WriteIv));
    t.true(isZero(TrafficOffset.WriteMacKey, TrafficOffset.ReadMacKey));
    // the other direction goes on
    t.false(isZero(TrafficOffset.ReadKey, TrafficOffset.ReadIv));
    open(new TrafficOpener(ours, 0), close);
    t.true(isZero(TrafficOffset.ReadKey, TrafficOffset.ReadIv));
    t.true(isZero(TrafficOffset.ReadMacKey, TRAFFIC_STATE_BYTES));
  });
}

test('Sweet32: 3DES ends for good after its blocks, in any thread', (t) => {
  const { ours, theirs } = connected(TRIPLE_DES, 'TLSv1.2');
  const countAt = (cipherState: number): number => cipherState + 16;
  for (const at of [TrafficOffset.WriteCipherState, TrafficOffset.ReadCipherState]) {
    ours.view.setUint32(countAt(at), MAX_TRIPLE_DES_BLOCKS - 6);
  }
  const data = new Uint8Array(16);
  const [first, second] = [0, 1].map(() => seal(new TrafficSealer(theirs, 0), ApplicationData, data));
  t.is(open(new TrafficOpener(ours, 0), first!).result, 16);
  t.deepEqual(failure(new TrafficOpener(ours, 0), second!), [
    'SequenceExhausted',
    AlertDescription.InternalError,
  ]);
  t.is(
    open(new TrafficOpener(theirs, 0), seal(new TrafficSealer(ours, 0), ApplicationData, data)).result,
    16,
  );
  t.throws(() => seal(new TrafficSealer(ours, 0), ApplicationData, data), { message: /used up/ });
});
