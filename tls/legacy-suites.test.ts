import test from 'ava';
import { Slab } from '../stack/wire/slab.ts';
import { exportKeyingMaterial, type TlsVersion, TRAFFIC_STATE_BYTES } from './client.ts';
import {
  type CipherSuite,
  FALLBACK_SUITES,
  isSuiteOf,
  SUITES_ON_REQUEST,
  TLS12_SUITES,
} from './keys/suites.ts';
import { issue } from './testing/certificates.ts';
import { shakeHands12, testClient, testServer12 } from './testing/client-under-test.ts';
import type { ServerScript12 } from './testing/scripted-server12.ts';
import { open, seal } from './testing/sealed-records.ts';
import { TrafficOpener } from './traffic/opener.ts';
import { TrafficSealer } from './traffic/sealer.ts';

const rsa = issue({ subject: 'server.test', key: 'rsa2048' });

/** A server of a suite and a version. */
function scriptOf(suite: CipherSuite, version: TlsVersion): Partial<ServerScript12> {
  const base = { suite: suite.id, version };
  if (suite.authentication === 'ecdsa') return base;
  const identity = { chain: [rsa.der], privateKey: rsa.privateKey };
  const signature = { scheme: 0x0804, hash: 'sha256', pss: true };
  return { ...base, ...identity, ...(version === 'TLSv1.2' ? { signature } : {}) };
}

const OLDER = [...TLS12_SUITES, ...SUITES_ON_REQUEST, ...FALLBACK_SUITES];
for (const version of ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const) {
  for (const suite of OLDER.filter((each) => isSuiteOf(each, version))) {
    const macs = suite.cipher.kind === 'block' ? [false, true] : [false];
    for (const encryptThenMac of macs) {
      const title = `${version} ${suite.name}${encryptThenMac ? ', encrypt-then-MAC' : ''}`;
      test(`${title}: handshake, and data of many lengths both ways between threads`, (t) => {
        const client = testClient({ fallback: true });
        const server = testServer12({ ...scriptOf(suite, version), encryptThenMac });
        shakeHands12(client, server);
        t.is(client.error, null);
        t.is(client.state, 'connected');
        t.like(client.info, { version, cipherSuite: suite.name, encryptThenMac, extendedMasterSecret: true });
        const ours = new Slab(new Uint8Array(new SharedArrayBuffer(TRAFFIC_STATE_BYTES + 8)));
        client.exportTraffic(ours, 8);
        const theirs = server.traffic();
        const keys = exportKeyingMaterial(ours, 8, 'EXPORTER-test', null, 40);
        t.deepEqual(exportKeyingMaterial(theirs, 0, 'EXPORTER-test', null, 40), keys);
        // every record by another sealer and opener: what changes from record to record lies in the region
        for (const length of [0, 1, 2, 15, 16, 17, 27, 28, 255, 256, 16383, 16384]) {
          const data = Uint8Array.from({ length }, (_, i) => i * 7);
          const sent = seal(new TrafficSealer(ours, 8), 23, data);
          t.deepEqual(opened(theirs, 0, sent), data, `sent ${length}`);
          const got = seal(new TrafficSealer(theirs, 0), 23, data);
          t.deepEqual(opened(ours, 8, got), data, `received ${length}`);
        }
      });
    }
  }
}

/** The data of all records. */
function opened(state: Slab, off: number, records: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < records.length; ) {
    const length = 5 + ((records[at + 3]! << 8) | records[at + 4]!);
    parts.push(open(new TrafficOpener(state, off), records.subarray(at, at + length)).data);
    at += length;
  }
  return new Uint8Array(Buffer.concat(parts));
}
