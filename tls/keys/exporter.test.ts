import test from 'ava';
import { Slab } from '../../stack/wire/slab.ts';
import { TRAFFIC_STATE_BYTES } from '../client.ts';
import {
  shakeHands,
  shakeHands12,
  testClient,
  testServer,
  testServer12,
} from '../testing/client-under-test.ts';
import { exportKeyingMaterial } from '../traffic/exporter.ts';
import { keyingMaterial } from './exporter.ts';
import { cipherSuiteOf } from './suites.ts';

test('the handshake and the region export the same keys, both sides, in both versions', (t) => {
  const [client13, server13] = [testClient(), testServer()];
  shakeHands(client13, server13);
  const [client12, server12] = [testClient(), testServer12()];
  shakeHands12(client12, server12);
  for (const [client, server] of [
    [client13, server13],
    [client12, server12],
  ] as const) {
    const context = Uint8Array.of(1, 2);
    const first = client.exportKeyingMaterial('EXPORTER-x', context, 40);
    t.is(first.length, 40);
    t.notDeepEqual(client.exportKeyingMaterial('EXPORTER-y', context, 40), first);
    t.notDeepEqual(client.exportKeyingMaterial('EXPORTER-x', null, 40), first);
    const state = Slab.alloc(TRAFFIC_STATE_BYTES + 64);
    client.exportTraffic(state, 64);
    t.deepEqual(exportKeyingMaterial(state, 64, 'EXPORTER-x', context, 40), first);
    t.deepEqual(exportKeyingMaterial(server.traffic(), 0, 'EXPORTER-x', context, 40), first);
  }
});

test('without extended master secret nothing is exported', (t) => {
  const client = testClient();
  shakeHands12(client, testServer12({ extendedMasterSecret: false }));
  t.throws(() => client.exportKeyingMaterial('EXPORTER-x', null, 8), { message: /extended master secret/ });
  const state = Slab.alloc(TRAFFIC_STATE_BYTES);
  client.exportTraffic(state, 0);
  t.throws(() => exportKeyingMaterial(state, 0, 'EXPORTER-x', null, 8), {
    message: /extended master secret/,
  });
});

test('labels, lengths and contexts that cannot be', (t) => {
  const secret = new Uint8Array(48).fill(1);
  const make = (suite: number, label: string, length: number, contextBytes = 0): Uint8Array =>
    keyingMaterial(
      suite === 0x1301 ? 'TLSv1.3' : 'TLSv1.2',
      cipherSuiteOf(suite)!,
      secret,
      new Uint8Array(64),
      label,
      new Uint8Array(contextBytes),
      length,
    );
  for (const suite of [0x1301, 0xc02b]) {
    t.is(make(suite, '', 8).length, 8);
    t.throws(() => make(suite, 'x'.repeat(250), 8), { instanceOf: RangeError });
    t.throws(() => make(suite, 'x', 0), { instanceOf: RangeError });
    t.throws(() => make(suite, 'x', 255 * 32 + 1), { instanceOf: RangeError });
    t.is(make(suite, 'x', 255 * 32).length, 255 * 32);
  }
  t.throws(() => make(0xc02b, 'key expansion', 8), { instanceOf: RangeError });
  t.throws(() => make(0xc02b, 'x', 8, 65536), { instanceOf: RangeError });
});
