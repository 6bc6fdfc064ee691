import test from 'ava';
import { FlowShare } from '../stack/flow-share.ts';
import { Slab } from '../stack/wire/slab.ts';
import { ownerOf } from './steering.ts';

const COUNT = 4;
const share = new FlowShare(0, COUNT);
const LOCAL = 40_001;
const REMOTE = 443;
const tcp = share.tcpOwner(LOCAL, REMOTE);

function owner(packet: number[]): number {
  const slab = new Slab(Uint8Array.from([0, 0, 0, ...packet]));
  return ownerOf(share, slab, 3, packet.length);
}

const u16 = (value: number): number[] => [value >>> 8, value & 255];
const ports = (source: number, destination: number): number[] => [
  ...u16(source),
  ...u16(destination),
  ...new Array(16).fill(0),
];

function ipv4(protocol: number, payload: number[], fragmentField = 0): number[] {
  return [
    0x45,
    0,
    0,
    0,
    0,
    0,
    ...u16(fragmentField),
    64,
    protocol,
    0,
    0,
    10,
    0,
    0,
    1,
    10,
    0,
    0,
    2,
    ...payload,
  ];
}

function ipv6(nextHeader: number, payload: number[]): number[] {
  return [0x60, 0, 0, 0, 0, 0, nextHeader, 64, ...new Array(32).fill(0), ...payload];
}

test('a segment belongs to the owner of its connection, over both families', (t) => {
  t.is(owner(ipv4(6, ports(REMOTE, LOCAL))), tcp);
  t.is(owner(ipv6(6, ports(REMOTE, LOCAL))), tcp);
  // behind a hop-by-hop options header of 16 bytes
  t.is(owner(ipv6(0, [6, 1, ...new Array(14).fill(0), ...ports(REMOTE, LOCAL)])), tcp);
});

test('a datagram belongs to the owner of its port', (t) => {
  t.is(owner(ipv4(17, ports(53, 50_003))), 50_003 % COUNT);
  t.is(owner(ipv6(17, ports(53, 50_003))), 50_003 % COUNT);
  t.is(owner(ipv4(17, ports(5353, 5353))), 0);
});

test('an ICMP error belongs to who has sent what it is about', (t) => {
  const header = [...new Array(8).fill(0)];
  t.is(owner(ipv4(1, [3, ...header.slice(1), ...ipv4(6, ports(LOCAL, REMOTE))])), tcp);
  t.is(owner(ipv6(58, [2, ...header.slice(1), ...ipv6(6, ports(LOCAL, REMOTE))])), tcp);
  t.is(owner(ipv4(1, [3, ...header.slice(1), ...ipv4(17, ports(50_002, 53))])), 50_002 % COUNT);
});

test('fragments of what has ports belong to everybody, the rest to the first', (t) => {
  t.is(owner(ipv4(6, ports(REMOTE, LOCAL), 0x2000)), -1);
  t.is(owner(ipv4(17, ports(53, 50_003), 100)), -1);
  t.is(owner(ipv6(44, [17, 0, 0, 1, 0, 0, 0, 1, ...ports(53, 50_003)])), -1);
  t.is(owner(ipv4(1, [8, 0, 0, 0], 0x2000)), 0);
  t.is(owner(ipv4(1, [8, 0, 0, 0])), 0);
  t.is(owner(ipv4(47, [0, 0, 0, 0])), 0);
});

test('what is cut off anywhere is somebody’s, and read no further', (t) => {
  for (const whole of [
    ipv4(6, ports(REMOTE, LOCAL)),
    ipv6(0, [6, 1, ...new Array(14).fill(0), ...ports(REMOTE, LOCAL)]),
    ipv6(58, [1, ...new Array(7).fill(0), ...ipv6(6, ports(LOCAL, REMOTE))]),
  ]) {
    for (let len = 0; len <= whole.length; len++) {
      const found = owner(whole.slice(0, len));
      t.true(found >= -1 && found < COUNT);
    }
  }
});
