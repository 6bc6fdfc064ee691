import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Impairments } from '../drivers/impair-options.ts';
import { echo, echoLength, type KernelSession, pattern } from './kernel-session.ts';

/** The link is down for a second, in both directions. */
const OUTAGE = { fromMs: 1500, toMs: 2600 };
const DELAY: Impairments = { delayMs: 10 };

function upload(lengthBytes: number): Pick<KernelSession, 'server' | 'client'> {
  return {
    server: echoLength,
    client: (socket) => {
      socket.end(pattern(lengthBytes));
    },
  };
}

function download(lengthBytes: number): Pick<KernelSession, 'server' | 'client'> {
  return {
    server: (socket) => {
      socket.end(pattern(lengthBytes));
    },
    client: (socket) => {
      socket.on('end', () => socket.end());
    },
  };
}

/** Both ends say something and close at the same time. */
async function closeTogether(socket: Socket): Promise<void> {
  socket.write('here I am\n');
  await sleep(100);
  socket.end();
}

/** Those over a link that loses, delays and reorders. */
export const WIRE_SESSIONS: readonly KernelSession[] = [
  ...(['cubic', 'reno', 'bbr'] as const).map(
    (congestion, i): KernelSession => ({
      name: `kernel-upload-loss-${congestion}`,
      what: `an upload of 60,000 octets under the congestion control ${congestion}; three of a hundred packets are lost each way`,
      shows: 'retransmissions by SACK and by timeout',
      sysctl: { tcp_congestion_control: congestion },
      wire: { seed: 5 + i, in: { ...DELAY, loss: 0.03 }, out: { ...DELAY, loss: 0.03 } },
      ...upload(60_000),
    }),
  ),
  {
    name: 'kernel-download-loss',
    what: 'a download of 60,000 octets; three of a hundred packets are lost each way',
    shows: 'what a receiver says of holes',
    wire: { seed: 11, in: { ...DELAY, loss: 0.03 }, out: { ...DELAY, loss: 0.03 } },
    ...download(60_000),
  },
  {
    name: 'kernel-download-reorder',
    what: 'a download of 60,000 octets; one of ten packets overtakes the others',
    shows: 'reordering at the receiver, D-SACK',
    wire: { seed: 12, in: DELAY, out: { ...DELAY, reorder: 0.1, duplicate: 0.02 } },
    ...download(60_000),
  },
  {
    name: 'kernel-upload-reorder',
    what: 'an upload of 60,000 octets; one of ten packets overtakes the others, two of a hundred come twice',
    shows: 'a sender that learns of reordering and of duplicates',
    wire: { seed: 13, in: { ...DELAY, reorder: 0.1, duplicate: 0.02 }, out: DELAY },
    ...upload(60_000),
  },
  {
    name: 'kernel-ipv6-loss',
    what: 'an upload of 30,000 octets over IPv6; four of a hundred packets are lost each way',
    shows: 'loss recovery over IPv6',
    family: 6,
    wire: { seed: 14, in: { ...DELAY, loss: 0.04 }, out: { ...DELAY, loss: 0.04 } },
    ...upload(30_000),
  },
  {
    name: 'kernel-loss-without-sack',
    what: 'an upload of 40,000 octets without SACK and timestamps; four of a hundred packets are lost',
    shows: 'NewReno by duplicate ACKs',
    sysctl: { tcp_sack: '0', tcp_timestamps: '0' },
    wire: { seed: 15, in: { ...DELAY, loss: 0.04 }, out: DELAY },
    ...upload(40_000),
  },
  {
    name: 'kernel-tail-loss',
    what: 'the last segment of an upload is lost',
    shows: 'a tail loss probe of the kernel',
    wire: { in: { ...DELAY, lossPackets: [9] }, out: DELAY },
    ...upload(8000),
  },
  {
    name: 'kernel-syn-lost',
    what: 'the first SYN is lost',
    shows: 'SYN repeated after a second',
    wire: { in: { ...DELAY, lossPackets: [1] }, out: DELAY },
    ...upload(1000),
  },
  {
    name: 'kernel-syn-ack-lost',
    what: 'the first SYN-ACK is lost',
    shows: 'SYN repeated, the SYN-ACK again',
    wire: { in: DELAY, out: { ...DELAY, lossPackets: [1] } },
    ...upload(1000),
  },
  {
    name: 'kernel-given-up-in-handshake',
    what: 'the client ends before the SYN-ACK comes',
    shows: 'RST in the handshake, by the client',
    wire: { in: { delayMs: 100 }, out: { delayMs: 100 } },
    killAfterMs: 80,
    server: echo,
  },
  {
    name: 'kernel-outage',
    what: 'an upload of 40,000 octets during which the link is down for a second',
    shows: 'timeouts with back-off, and what comes after',
    wire: { in: { ...DELAY, rateBps: 1_000_000, down: [OUTAGE] }, out: { ...DELAY, down: [OUTAGE] } },
    server: echoLength,
    client: async (socket) => {
      for (let i = 0; i < 20; i++) {
        socket.write(pattern(2000, i));
        await sleep(50);
      }
      socket.end();
    },
  },
  {
    name: 'kernel-simultaneous-close',
    what: 'both sides close at the same time',
    shows: 'CLOSING: the two FINs cross',
    wire: { in: { delayMs: 40 }, out: { delayMs: 40 } },
    server: closeTogether,
    client: closeTogether,
  },
  {
    name: 'kernel-path-mtu',
    what: 'an upload of 20,000 octets over a path of 1200 octets',
    shows: 'ICMP "fragmentation needed", smaller segments',
    wire: { in: { ...DELAY, mtuBytes: 1200, mtuPolicy: 'refuse' }, out: DELAY },
    ...upload(20_000),
  },
  {
    name: 'kernel-ipv6-path-mtu',
    what: 'an upload of 20,000 octets over an IPv6 path of 1280 octets',
    shows: 'ICMPv6 "packet too big", smaller segments',
    family: 6,
    wire: { in: { ...DELAY, mtuBytes: 1280, mtuPolicy: 'refuse' }, out: DELAY },
    ...upload(20_000),
  },
  {
    name: 'kernel-ecn-marked',
    what: 'an upload and a download of 30,000 octets with ECN; one of twenty packets is marked each way',
    shows: 'CE, ECE and CWR',
    sysctl: { tcp_ecn: '1' },
    serverSysctl: { tcp_ecn: '1' },
    wire: { seed: 16, in: { ...DELAY, loss: 0.05, ecn: true }, out: { ...DELAY, loss: 0.05, ecn: true } },
    server: echo,
    client: (socket) => {
      socket.end(pattern(30_000));
    },
  },
];
