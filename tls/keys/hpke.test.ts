import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import test from 'ava';
import { HpkeSender } from './hpke.ts';

test('RFC 9180 §A.1.1: base mode, X25519, HKDF-SHA256, AES-128-GCM', (t) => {
  const secretKey = hexToBytes('52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736');
  const sender = new HpkeSender(
    hexToBytes('3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d'),
    hexToBytes('4f6465206f6e2061204772656369616e2055726e'),
    { kdf: 1, aead: 1 },
    { fill: (into) => into.set(secretKey), uint32: () => 0 },
  );
  t.is(bytesToHex(sender.enc), '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431');
  const message = utf8ToBytes('Beauty is truth, truth beauty');
  t.is(
    bytesToHex(sender.seal(utf8ToBytes('Count-0'), message)),
    'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
  );
  t.is(
    bytesToHex(sender.seal(utf8ToBytes('Count-1'), message)),
    'af2d7e9ac9ae7e270f46ba1f975be53c09f8d875bdc8535458c2494e8a6eab251c03d0c22a56b8ca42c2063b84',
  );
});
