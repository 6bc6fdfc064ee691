import { createHash, createHmac } from 'node:crypto';
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { md5, sha1, sha256, sha384 } from './hash.ts';
import { keyBlock, oldPrf, prf, prfOf } from './prf.ts';
import { cipherSuiteOf, TLS12_SUITES } from './suites.ts';
import { MD5_AND_SHA1, Transcript } from './transcript.ts';

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

test('the PRF of TLS 1.0 gives the vector of the TLS working group', (t) => {
  // ietf-tls mailing list, message 01589 of 2001
  const out = oldPrf(new Uint8Array(48).fill(0xab), 'PRF Testvector', new Uint8Array(64).fill(0xcd), 104);
  t.is(
    bytesToHex(out),
    'd3d4d1e349b5d515044666d51de32bab258cb521b6b053463e354832fd976754443bcf9a296519bc289abcbc1187e4eb' +
      'd31e602353776c408aafb74cbc85eff69255f9788faa184cbb957a9819d84a5d7eb006eb459d3ae8de9810454b8b2d8f' +
      '1afbc655a8c9a013',
  );
});

test('the PRF of TLS 1.0 takes secrets of odd and of no length, and its outputs are prefixes of each other', (t) => {
  const seed = new Uint8Array(10).fill(4);
  for (const length of [0, 1, 2, 47, 255]) {
    const secret = Uint8Array.from({ length }, (_, i) => i);
    const half = Math.ceil(length / 2);
    const [a, b] = [secret.slice(0, half), secret.slice(length - half)];
    const [first, second] = [prf(md5, a, 'x', seed, 70), prf(sha1, b, 'x', seed, 70)];
    t.deepEqual(
      oldPrf(secret, 'x', seed, 70),
      first.map((byte, i) => byte ^ second[i]!),
    );
    t.deepEqual(oldPrf(secret, 'x', seed, 33), oldPrf(secret, 'x', seed, 70).slice(0, 33));
  }
});

test('the transcript before TLS 1.2 is MD5 and SHA-1, of all bytes so far', (t) => {
  const transcript = new Transcript(MD5_AND_SHA1);
  transcript.add(Uint8Array.of(1, 2));
  const expected = (bytes: Uint8Array): string =>
    createHash('md5').update(bytes).digest('hex') + createHash('sha1').update(bytes).digest('hex');
  t.is(bytesToHex(transcript.hash()), expected(Uint8Array.of(1, 2)));
  t.is(bytesToHex(transcript.hashWith(Uint8Array.of(9))), expected(Uint8Array.of(1, 2, 9)));
  transcript.add(Uint8Array.of(3));
  t.is(bytesToHex(transcript.hash()), expected(Uint8Array.of(1, 2, 3)));
  t.is(bytesToHex(MD5_AND_SHA1(Uint8Array.of(5))), expected(Uint8Array.of(5)));
});

test('the key block of suites with MACs: MAC keys first, IVs only in TLS 1.0', (t) => {
  const [client, server] = [new Uint8Array(32).fill(3), new Uint8Array(32).fill(4)];
  const master = new Uint8Array(48).fill(5);
  for (const [id, version, sizes] of [
    [0x000a, 'TLSv1', [20, 24, 8]],
    [0x002f, 'TLSv1', [20, 16, 16]],
    [0x002f, 'TLSv1.1', [20, 16, 0]],
    [0x0004, 'TLSv1', [16, 16, 0]],
    [0xc028, 'TLSv1.2', [48, 32, 0]],
  ] as const) {
    const suite = cipherSuiteOf(id)!;
    const keys = keyBlock(version, suite, master, client, server);
    const parts = [keys.client.macKey, keys.server.macKey, keys.client.key, keys.server.key];
    const all = Uint8Array.from([...parts, keys.client.iv, keys.server.iv].flatMap((part) => [...part]));
    const seed = Uint8Array.of(...server, ...client);
    const { expand } = prfOf(version, suite);
    t.deepEqual(all, expand(master, 'key expansion', seed, 2 * (sizes[0] + sizes[1] + sizes[2])));
    t.deepEqual([keys.client.macKey.length, keys.client.key.length, keys.client.iv.length], [...sizes]);
  }
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
