import test from 'ava';
import { fc } from '../../test/properties.ts';
import { parseResolvConf } from './resolv-conf.ts';

test('name servers, search domains and options', (t) => {
  const conf = parseResolvConf(
    '# written by hand\nnameserver 192.0.2.53\nnameserver\t2001:db8::53\n; no\nsearch Lab.Test. test\n' +
      'options ndots:2 timeout:3 attempts:4 rotate edns0 trust-ad\n',
  );
  t.deepEqual(conf.servers.map(String), ['192.0.2.53', '2001:db8::53']);
  t.like(conf, {
    search: ['lab.test', 'test'],
    ndots: 2,
    timeoutMs: 3000,
    attempts: 4,
    rotate: true,
    edns: true,
  });
  t.deepEqual(conf.skipped, []);
});

test('what is not said is undefined; the last of domain and search counts', (t) => {
  t.deepEqual(parseResolvConf(''), { servers: [], skipped: [] });
  t.deepEqual(parseResolvConf('search a b\ndomain c').search, ['c']);
  t.deepEqual(parseResolvConf('domain c\nsearch a b').search, ['a', 'b']);
  t.deepEqual(parseResolvConf('search .').search, []);
});

test('values out of range are cut, as in the C library', (t) => {
  t.like(parseResolvConf('options ndots:99 timeout:99 attempts:99'), {
    ndots: 15,
    timeoutMs: 30_000,
    attempts: 5,
  });
  t.like(parseResolvConf('options timeout:0 attempts:0'), { timeoutMs: 1000, attempts: 1 });
});

test('lines that cannot be used are noted, the others count', (t) => {
  const conf = parseResolvConf(
    'nameserver dns.test\nnameserver 192.0.2.1\nbanana\noptions ndots:x\nsortlist 1.2.3.4\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4',
  );
  t.is(conf.servers.length, 3);
  t.deepEqual(
    conf.skipped.map((each) => each.line),
    [1, 3, 4, 5, 8],
  );
});

test('any text at all', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      t.true(parseResolvConf(`options ${text}\n${text}\nsearch ${text}`).servers.length <= 3);
    }),
  );
});
