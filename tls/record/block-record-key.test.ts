import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { concatBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { fc } from '../../test/properties.ts';
import { TlsError } from '../errors.ts';
import type { RecordSecrets } from '../keys/prf.ts';
import { cipherSuiteOf } from '../keys/suites.ts';
import { MAX_TRIPLE_DES_BLOCKS } from '../limits.ts';
import { type TlsVersion, versionNumber } from '../wire/codes.ts';
import { BLOCK_STATE_BYTES } from './block-record-key.ts';
import {
  CIPHER_STATE_BYTES,
  type RecordParameters,
  type RecordProtection,
  recordProtectionOf,
  startCipherState,
} from './record-protection.ts';

/** AES-128 with SHA-1, AES-256 with SHA-384, 3DES with SHA-1; and what RFC 5246 §6.2.3.2 makes of them. */
const SUITES = [
  { id: 0x002f, name: 'aes-128-cbc', blockBytes: 16, hash: 'sha1', macBytes: 20 },
  { id: 0xc028, name: 'aes-256-cbc', blockBytes: 16, hash: 'sha384', macBytes: 48 },
  { id: 0x000a, name: 'des-ede3-cbc', blockBytes: 8, hash: 'sha1', macBytes: 20 },
] as const;
type Suite = (typeof SUITES)[number];

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2'] as const;

function parametersOf(suite: Suite, version: TlsVersion, encryptThenMac = false): RecordParameters {
  return { version, suite: cipherSuiteOf(suite.id)!, encryptThenMac };
}

function secretsOf({ suite, version }: RecordParameters): RecordSecrets {
  const { cipher, keyBytes } = suite;
  if (cipher.kind !== 'block') throw new Error('no block cipher');
  return {
    key: Uint8Array.from({ length: keyBytes }, (_, i) => 3 * i + 1),
    macKey: Uint8Array.from({ length: cipher.macBytes }, (_, i) => 5 * i + 2),
    iv: new Uint8Array(version === 'TLSv1' ? cipher.blockBytes : 0).fill(9),
  };
}

function protectionOf(parameters: RecordParameters): RecordProtection {
  const secrets = secretsOf(parameters);
  return recordProtectionOf(parameters, secrets, startCipherState(parameters, secrets));
}

/** The MAC as RFC 5246 §6.2.3.1 writes it, of record 0. */
function macOf(suite: Suite, version: TlsVersion, content: Uint8Array): Uint8Array {
  const { macKey } = secretsOf(parametersOf(suite, version));
  const number = versionNumber(version);
  const prefix = [
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    23,
    number >> 8,
    number & 255,
    content.length >> 8,
    content.length & 255,
  ];
  return createHmac(suite.hash, macKey).update(Uint8Array.from(prefix)).update(content).digest();
}

/** A record made by hand, whatever its plaintext is. */
function handMade(suite: Suite, version: TlsVersion, plain: Uint8Array): Uint8Array {
  const { key, iv } = secretsOf(parametersOf(suite, version));
  const own = version === 'TLSv1' ? iv : new Uint8Array(suite.blockBytes).fill(7);
  const cipher = createCipheriv(suite.name, key, own).setAutoPadding(false);
  const sealed = concatBytes(
    version === 'TLSv1' ? new Uint8Array(0) : own,
    cipher.update(plain),
    cipher.final(),
  );
  const number = versionNumber(version);
  return concatBytes(
    Uint8Array.of(23, number >> 8, number & 255, sealed.length >> 8, sealed.length & 255),
    sealed,
  );
}

function padded(length: number): Uint8Array {
  return new Uint8Array(length + 1).fill(length);
}

/** The content, or what was thrown. */
function open(protection: RecordProtection, record: Uint8Array, seq = 0): Uint8Array | string {
  try {
    protection.open(0, seq, record, 0, record.length);
    return Uint8Array.from(protection.opened.subarray(0, protection.openedBytes));
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return error.message;
  }
}

const WRONG = new TlsError('BadRecordMac').message;

for (const suite of SUITES) {
  for (const version of VERSIONS) {
    const title = `${suite.name} ${suite.hash} ${version}`;

    test(`${title}: every padding that fits is accepted`, (t) => {
      const content = Uint8Array.from({ length: 100 }, (_, i) => i);
      const mac = macOf(suite, version, content);
      let accepted = 0;
      for (let length = 0; length < 256; length++) {
        const plain = concatBytes(content, mac, padded(length));
        if (plain.length % suite.blockBytes !== 0) continue;
        t.deepEqual(
          open(protectionOf(parametersOf(suite, version)), handMade(suite, version, plain)),
          content,
        );
        accepted++;
      }
      t.is(accepted, 256 / suite.blockBytes);
    });

    test(`${title}: what is wrong inside is always the same failure`, (t) => {
      const content = Uint8Array.from({ length: 64 - suite.macBytes }, (_, i) => i);
      // 64 bytes, and padding of 4 blocks
      const good = concatBytes(content, macOf(suite, version, content), padded(4 * suite.blockBytes - 1));
      t.deepEqual(open(protectionOf(parametersOf(suite, version)), handMade(suite, version, good)), content);
      for (let at = 0; at < good.length; at++) {
        for (const difference of [1, 0x80, 0xff]) {
          const plain = good.slice();
          plain[at] = plain[at]! ^ difference;
          const record = handMade(suite, version, plain);
          t.is(open(protectionOf(parametersOf(suite, version)), record), WRONG, `byte ${at}`);
        }
      }
      // padding longer than there is room for, in the shortest records
      for (let length = 0; length < 256; length++) {
        const blocks = Math.ceil((suite.macBytes + 1) / suite.blockBytes);
        const plain = new Uint8Array(blocks * suite.blockBytes).fill(length);
        t.is(open(protectionOf(parametersOf(suite, version)), handMade(suite, version, plain)), WRONG);
      }
    });

    test(`${title}: lengths that no record has`, (t) => {
      const record = sealed(protectionOf(parametersOf(suite, version)), new Uint8Array(50));
      for (let length = 5; length < record.length; length++) {
        t.regex(
          String(open(protectionOf(parametersOf(suite, version)), record.subarray(0, length))),
          /did not decrypt/,
        );
      }
      const content = new Uint8Array(16385);
      const inside = concatBytes(content, macOf(suite, version, content));
      const rest = suite.blockBytes - (inside.length % suite.blockBytes);
      const long = handMade(suite, version, concatBytes(inside, padded(rest - 1)));
      t.regex(String(open(protectionOf(parametersOf(suite, version)), long)), /16385 bytes inside/);
    });
  }

  test(`${suite.name}: what we seal OpenSSL's cipher opens: MAC, and the shortest padding`, (t) => {
    for (const version of VERSIONS) {
      for (const length of [0, 1, 11, 12, 16, 300]) {
        const content = new Uint8Array(length).fill(length);
        const record = sealed(protectionOf(parametersOf(suite, version)), content);
        const { key, iv } = secretsOf(parametersOf(suite, version));
        const ivBytes = version === 'TLSv1' ? 0 : suite.blockBytes;
        const own = ivBytes === 0 ? iv : record.subarray(5, 5 + ivBytes);
        const decipher = createDecipheriv(suite.name, key, own).setAutoPadding(false);
        const plain = concatBytes(decipher.update(record.subarray(5 + ivBytes)), decipher.final());
        const inside = concatBytes(content, macOf(suite, version, content));
        t.deepEqual(
          plain,
          concatBytes(inside, padded(suite.blockBytes - (inside.length % suite.blockBytes) - 1)),
        );
      }
    }
  });

  test(`${suite.name}: with encrypt-then-MAC no byte can be changed, and nothing is decrypted before the MAC`, (t) => {
    for (const version of VERSIONS) {
      const parameters = parametersOf(suite, version, true);
      const record = sealed(protectionOf(parameters), Uint8Array.of(1, 2, 3));
      t.deepEqual(open(protectionOf(parameters), record), Uint8Array.of(1, 2, 3));
      t.is(open(protectionOf(parameters), record, 1), WRONG);
      for (let at = 5; at < record.length; at++) {
        const damaged = record.slice();
        damaged[at] = damaged[at]! ^ 1;
        t.is(open(protectionOf(parameters), damaged), WRONG);
      }
      for (let length = 5; length < record.length; length++) {
        t.regex(String(open(protectionOf(parameters), record.subarray(0, length))), /did not decrypt/);
      }
    }
  });
}

test('since TLS 1.1 no IV comes twice and none is that of the other direction', (t) => {
  const parameters = parametersOf(SUITES[0], 'TLSv1.1');
  const protection = protectionOf(parameters);
  const other = { ...secretsOf(parameters), macKey: new Uint8Array(20).fill(1) };
  const reverse = recordProtectionOf(parameters, other, startCipherState(parameters, other));
  const ivs = new Set<string>();
  for (let seq = 0; seq < 100; seq++) {
    for (const each of [protection, reverse]) {
      ivs.add(Buffer.from(sealed(each, new Uint8Array(20), seq).subarray(5, 21)).toString('hex'));
    }
  }
  t.is(ivs.size, 200);
});

test('TLS 1.0: a record is chained to the one before it: none can be left out or repeated', (t) => {
  const parameters = parametersOf(SUITES[0], 'TLSv1');
  const writer = protectionOf(parameters);
  const records = [0, 1, 2].map((seq) => sealed(writer, Uint8Array.of(seq), seq));
  const reader = protectionOf(parameters);
  for (const [seq, record] of records.entries()) t.deepEqual(open(reader, record, seq), Uint8Array.of(seq));
  const skipping = protectionOf(parameters);
  open(skipping, records[0]!, 0);
  t.is(open(skipping, records[2]!, 1), WRONG);
});

test('3DES: after so many blocks the key is used up, both ways; AES does not count', (t) => {
  for (const [suite, isLimited] of [
    [SUITES[2], true],
    [SUITES[0], false],
  ] as const) {
    const parameters = parametersOf(suite, 'TLSv1.2');
    const secrets = secretsOf(parameters);
    const state = new Uint8Array(CIPHER_STATE_BYTES);
    const left = 10;
    new DataView(state.buffer).setUint32(BLOCK_STATE_BYTES - 4, MAX_TRIPLE_DES_BLOCKS - left);
    const reading = state.slice();
    const writer = recordProtectionOf(parameters, secrets, state);
    const reader = recordProtectionOf(parameters, secrets, reading);
    // 16 bytes, a MAC of 20 and padding: 5 blocks
    const records = [0, 1].map((seq) => sealed(writer, new Uint8Array(16), seq));
    for (const [seq, record] of records.entries()) t.is(open(reader, record, seq).length, 16);
    if (!isLimited) continue;
    t.throws(() => sealed(writer, new Uint8Array(1), 2), { message: /used up/ });
    const third = sealed(protectionOf(parameters), new Uint8Array(1), 2);
    t.regex(String(open(reader, third, 2)), /used up/);
  }
});

test('any bytes in place of a record are refused without a crash', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.constantFrom(...SUITES),
      fc.constantFrom(...VERSIONS),
      fc.boolean(),
      (body, suite, version, encryptThenMac) => {
        const protection = protectionOf(parametersOf(suite, version, encryptThenMac));
        const header = Uint8Array.of(23, 3, 3, body.length >> 8, body.length & 255);
        return typeof open(protection, concatBytes(header, body)) === 'string';
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});

function sealed(protection: RecordProtection, content: Uint8Array, seq = 0): Uint8Array {
  const into = new Uint8Array(content.length + protection.overheadBytes);
  return into.slice(0, protection.seal(0, seq, 23, content, 0, content.length, into, 0));
}
