import { createHmac } from 'node:crypto';
import { sha256, sha384 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { keyBlock, prf } from './prf.ts';
import { cipherSuiteOf, TLS12_SUITES } from './suites.ts';

test('the PRF of TLS 1.2 gives the vector of the TLS working group', (t) => {
  const secret = hexToBytes('9bbe436ba940f017b17652849a71db35');
  const seed = hexToBytes('a0ba9f936cda311827a6f796ffd5198c');
  t.is(
    bytesToHex(prf(sha256, secret, 'test label', seed, 100)),
    'e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af' +
      '0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701' +
      '87347b66',
  );
});

test('the PRF is P_hash of RFC 5246 §5, of any length', (t) => {
  const [secret, seed] = [new Uint8Array(48).fill(1), new Uint8Array(64).fill(2)];
  const mac = (...parts: readonly Uint8Array[]): Buffer => {
    const hmac = createHmac('sha384', secret);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  };
  const labelled = Buffer.concat([Buffer.from('label'), seed]);
  const a1 = mac(labelled);
  const expected = Buffer.concat([mac(a1, labelled), mac(mac(a1), labelled)]);
  for (const length of [0, 1, 47, 48, 49, 96]) {
    t.deepEqual(prf(sha384, secret, 'label', seed, length), new Uint8Array(expected.subarray(0, length)));
  }
});

test('the key block: client key, server key, client IV, server IV', (t) => {
  const [client, server] = [new Uint8Array(32).fill(3), new Uint8Array(32).fill(4)];
  const master = new Uint8Array(48).fill(5);
  for (const suite of TLS12_SUITES) {
    const keys = keyBlock('TLSv1.2', suite, master, client, server);
    const seed = Uint8Array.of(...server, ...client);
    const size = 2 * (suite.keyBytes + keys.client.iv.length);
    t.deepEqual(
      Uint8Array.of(...keys.client.key, ...keys.server.key, ...keys.client.iv, ...keys.server.iv),
      prf(suite.hash, master, 'key expansion', seed, size),
    );
  }
  const ivBytes = (id: number): number =>
    keyBlock('TLSv1.2', cipherSuiteOf(id)!, master, client, server).client.iv.length;
  t.is(ivBytes(0xc02b), 4);
  t.is(ivBytes(0xcca9), 12);
});
