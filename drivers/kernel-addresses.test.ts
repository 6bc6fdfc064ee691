import test from 'ava';
import { kernelAddresses, parseFibTrie, parseIfInet6 } from './kernel-addresses.ts';

/** As Linux prints it; the local and the main table are one trie, or two that list the same. */
const TRIE = `Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 10.78.0.0/24 2 0 2
        +-- 10.78.0.0/30 2 0 2
           |-- 10.78.0.0
              /24 link UNICAST
           |-- 10.78.0.1
              /32 host LOCAL
        |-- 10.78.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
Main:
           |-- 10.78.0.1
              /32 host LOCAL
`;
const INET6 = `fd780000000000000000000000000001 02 40 00 80    veth0
00000000000000000000000000000001 01 80 10 80       lo
`;

test('the addresses of the kernel are read from what it shows', (t) => {
  t.deepEqual(parseFibTrie(TRIE).map(String), ['10.78.0.1', '127.0.0.1']);
  t.deepEqual(parseIfInet6(INET6).map(String), ['fd78::1', '::1']);
  t.deepEqual(parseFibTrie(''), []);
  t.deepEqual(parseIfInet6('nonsense\n'), []);
});

test('a system that shows nothing has none', (t) => {
  const none = kernelAddresses('/nonexistent');
  t.is(none.find('10.78.0.1'), null);
  t.is(none.find('no address'), null);
});
