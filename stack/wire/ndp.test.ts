import test from 'ava';
import { fc } from '../../test/properties.ts';
import { ARP_BYTES, ArpOperation, isArpForIpv4, writeArp } from './arp.ts';
import { formatEthernetAddress, isGroupAddress } from './ethernet.ts';
import { findLinkAddress, NDP_MALFORMED, NdpOption } from './ndp.ts';

function find(...bytes: number[]): number {
  const view = new DataView(Uint8Array.from(bytes).buffer);
  return findLinkAddress(view, 0, bytes.length, NdpOption.SourceLinkAddress);
}

test('a link address is found among options, all of which are checked', (t) => {
  const address = [2, 0, 0, 0, 0, 9];
  t.is(find(), -1);
  t.is(find(1, 1, ...address), 2);
  t.is(find(14, 1, 0, 0, 0, 0, 0, 0, 1, 1, ...address), 10);
  t.is(find(2, 1, ...address), -1, 'of another type');
  t.is(find(1, 2, ...address, 0, 0, 0, 0, 0, 0, 0, 0), -1, 'of another length');
  t.is(find(1, 1, ...address, 5, 0, 0, 0, 0, 0, 0, 0), NDP_MALFORMED, 'a length of 0 behind it');
  for (let cut = 1; cut < 8; cut++) t.is(find(...[1, 1, ...address].slice(0, cut)), NDP_MALFORMED);
});

test('any options end, inside the message', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const at = find(...bytes);
      return at === -1 || at === NDP_MALFORMED || (at >= 2 && at + 6 <= bytes.length);
    }),
  );
  t.pass();
});

test('ARP packets are told by their four fixed fields, whole', (t) => {
  const view = new DataView(new ArrayBuffer(ARP_BYTES));
  writeArp(view, 0, ArpOperation.Request, 0x0200, 1, 2, 0x0200, 3, 4);
  t.true(isArpForIpv4(view, 0, ARP_BYTES));
  for (let length = 0; length < ARP_BYTES; length++) t.false(isArpForIpv4(view, 0, length));
  for (let at = 0; at < 6; at++) {
    view.setUint8(at, view.getUint8(at) ^ 1);
    t.false(isArpForIpv4(view, 0, ARP_BYTES), `byte ${at}`);
    view.setUint8(at, view.getUint8(at) ^ 1);
  }
});

test('Ethernet addresses have their usual text, and groups are known', (t) => {
  t.is(formatEthernetAddress(0x0200, 0xabcdef01 | 0), '02:00:ab:cd:ef:01');
  t.true(isGroupAddress(0xffff));
  t.true(isGroupAddress(0x3333));
  t.false(isGroupAddress(0x0200));
});
