import test from 'ava';
import { fc } from '../../test/properties.ts';
import { readServiceBinding } from './svcb.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));

// RFC 9460 appendix D: the wire formats of its test vectors
const FOO = '03 66 6f 6f 07 65 78 61 6d 70 6c 65 03 63 6f 6d 00';
const EXAMPLE = '07 65 78 61 6d 70 6c 65 03 63 6f 6d 00';

test('RFC 9460 appendix D', (t) => {
  t.deepEqual(readServiceBinding(bytes(`00 00 ${FOO}`)), { priority: 0, target: 'foo.example.com' }, 'D.1');
  t.deepEqual(readServiceBinding(bytes('00 01 00')), { priority: 1, target: '.' }, 'figure 3');
  t.deepEqual(
    readServiceBinding(bytes(`00 10 ${FOO} 00 03 00 02 00 35`)),
    { priority: 16, target: 'foo.example.com', port: 53 },
    'figure 4',
  );
  t.deepEqual(
    readServiceBinding(bytes(`00 01 ${FOO} 02 9b 00 05 68 65 6c 6c 6f`)),
    { priority: 1, target: 'foo.example.com', key667: '68656c6c6f' },
    'figure 5',
  );
  t.deepEqual(
    readServiceBinding(
      bytes(
        `00 01 ${FOO} 00 06 00 20 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 20 01 0d b8 00 00 00 00 00 00 00 00 00 53 00 01`,
      ),
    ),
    { priority: 1, target: 'foo.example.com', ipv6hint: ['2001:db8::1', '2001:db8::53:1'] },
    'figure 7',
  );
  t.deepEqual(
    readServiceBinding(
      bytes(
        `00 10 03 66 6f 6f 07 65 78 61 6d 70 6c 65 03 6f 72 67 00 00 00 00 04 00 01 00 04 00 01 00 09 02 68 32 05 68 33 2d 31 39 00 04 00 04 c0 00 02 01`,
      ),
    ),
    {
      priority: 16,
      target: 'foo.example.org',
      mandatory: ['alpn', 'ipv4hint'],
      alpn: ['h2', 'h3-19'],
      ipv4hint: ['192.0.2.1'],
    },
    'figure 9',
  );
});

test('what RFC 9460 §2.2 calls malformed is unusable as a whole', (t) => {
  const bad = (hex: string, why: string): void => {
    t.is(readServiceBinding(bytes(hex)), null, why);
  };
  bad(`00 01 ${FOO} 00 03 00 02 00 35 00 03 00 02 00 35`, 'a key twice');
  bad(`00 01 ${FOO} 00 04 00 04 c0 00 02 01 00 03 00 02 00 35`, 'keys out of order');
  bad(`00 01 ${FOO} 00 03 00 03 00 35 00`, 'a port of three bytes');
  bad(`00 01 ${FOO} 00 00 00 02 00 01`, 'a mandatory key that is missing');
  bad(`00 01 ${FOO} 00 00 00 02 00 00`, 'mandatory lists itself');
  bad(`00 01 ${FOO} 00 02 00 01 00`, 'no-default-alpn with a value');
  bad(`00 01 c0 0c`, 'a compressed name');
});

test('cut at every byte, and anything at all', (t) => {
  const whole = bytes(`00 01 ${EXAMPLE} 00 01 00 03 02 68 32 00 03 00 02 00 35`);
  t.not(readServiceBinding(whole), null);
  for (let end = 0; end < whole.length; end++) {
    const got = readServiceBinding(whole.subarray(0, end));
    // Only where a parameter ends, what is left is a record too
    t.is(got !== null, end === 15 || end === 22, `cut at ${end}`);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (data) => {
      readServiceBinding(data);
    }),
  );
});
