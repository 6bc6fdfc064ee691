import { setTimeout as sleep } from 'node:timers/promises';
import { echo, echoLength, type KernelSession, pattern, SMALL_BUFFERS } from './kernel-session.ts';

/** Those over a cable. */
export const CABLE_SESSIONS: readonly KernelSession[] = [
  {
    name: 'kernel-client-closes-first',
    what: 'request and answer, the client closes first',
    shows: 'handshake, data both ways, FIN from us, TIME-WAIT',
    server: echo,
    client: async (socket) => {
      socket.write('a question\n');
      await sleep(30);
      socket.end();
    },
  },
  {
    name: 'kernel-server-closes-first',
    what: 'the server greets, says goodbye and closes first',
    shows: 'CLOSE-WAIT, LAST-ACK',
    server: (socket) => {
      socket.end('welcome and goodbye\n');
    },
    client: async (socket) => {
      await sleep(60);
      socket.end();
    },
  },
  {
    name: 'kernel-half-close',
    what: 'the client ends its side, the server goes on sending and then ends its own',
    shows: 'data received in FIN-WAIT-2',
    server: (socket) => {
      socket.on('data', () => {});
      socket.on('end', async () => {
        for (let i = 0; i < 5; i++) {
          socket.write(pattern(700, i));
          await sleep(10);
        }
        socket.end();
      });
    },
    client: (socket) => {
      socket.end('all that I have to say\n');
    },
  },
  {
    name: 'kernel-refused',
    what: 'a connection to a port where nobody listens',
    shows: 'RST in answer to the SYN',
  },
  {
    name: 'kernel-reset-by-server',
    what: 'the server resets in the middle of an upload',
    shows: 'RST received with data in flight',
    server: (socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    },
    client: async (socket) => {
      socket.write(pattern(2000));
      await sleep(50);
    },
  },
  {
    name: 'kernel-reset-by-client',
    what: 'the client resets in the middle of a download',
    shows: 'an abort with data coming in',
    server: async (socket) => {
      for (let i = 0; i < 4; i++) {
        socket.write(pattern(1000, i));
        await sleep(20);
      }
    },
    client: async (socket) => {
      await sleep(30);
      socket.resetAndDestroy();
    },
  },
  {
    name: 'kernel-download',
    what: 'a download of 60,000 octets',
    shows: 'ACKs of a stream, the opening window',
    server: (socket) => {
      socket.end(pattern(60_000));
    },
    client: (socket) => {
      socket.on('end', () => socket.end());
    },
  },
  {
    name: 'kernel-upload',
    what: 'an upload of 60,000 octets',
    shows: 'slow start, the peer window, PSH',
    server: echoLength,
    client: (socket) => {
      socket.end(pattern(60_000));
    },
  },
  {
    name: 'kernel-upload-reno',
    what: 'an upload of 40,000 octets under the congestion control reno',
    shows: 'that the calls, not the segments, are replayed',
    sysctl: { tcp_congestion_control: 'reno' },
    server: echoLength,
    client: (socket) => {
      socket.end(pattern(40_000));
    },
  },
  {
    name: 'kernel-upload-bbr',
    what: 'an upload of 40,000 octets under the congestion control bbr',
    shows: 'paced segments',
    sysctl: { tcp_congestion_control: 'bbr' },
    server: echoLength,
    client: (socket) => {
      socket.end(pattern(40_000));
    },
  },
  {
    name: 'kernel-small-window',
    what: 'a download into a receive buffer of 8 KiB',
    shows: 'a small window that moves with the reader',
    sysctl: SMALL_BUFFERS,
    server: (socket) => {
      socket.end(pattern(30_000));
    },
    client: (socket) => {
      socket.on('end', () => socket.end());
    },
  },
  {
    name: 'kernel-zero-window-received',
    what: 'the client stops reading for a second; its window closes, the server probes it',
    shows: 'zero window, answers to probes, the window update',
    sysctl: SMALL_BUFFERS,
    server: (socket) => {
      socket.end(pattern(80_000));
    },
    client: async (socket) => {
      socket.pause();
      await sleep(1000);
      socket.resume();
      await sleep(20);
      socket.destroy();
    },
  },
  {
    name: 'kernel-zero-window-sent',
    what: 'the server stops reading for a second; the client has to probe its window',
    shows: 'persist timer',
    serverSysctl: SMALL_BUFFERS,
    server: async (socket) => {
      socket.pause();
      await sleep(1000);
      socket.on('end', () => socket.end());
      socket.resume();
    },
    client: (socket) => {
      socket.end(pattern(80_000));
    },
  },
  {
    name: 'kernel-keepalive',
    what: 'an idle connection with keep-alives every second',
    shows: 'keep-alive probes and their answers',
    sysctl: { tcp_keepalive_intvl: '1' },
    server: echo,
    client: async (socket) => {
      socket.setKeepAlive(true, 1000);
      socket.write('hello\n');
      await sleep(2600);
      socket.end();
    },
  },
  {
    name: 'kernel-no-timestamps',
    what: 'request and answer without timestamps, SACK and window scale',
    shows: 'a connection without options but MSS',
    sysctl: { tcp_timestamps: '0', tcp_sack: '0', tcp_window_scaling: '0' },
    server: echo,
    client: async (socket) => {
      socket.write(pattern(3000));
      await sleep(30);
      socket.end();
    },
  },
  {
    name: 'kernel-small-writes',
    what: 'ten writes of a few octets, with TCP_NODELAY',
    shows: 'small segments at once',
    server: (socket) => {
      socket.on('data', () => {});
      socket.on('end', () => socket.end());
    },
    client: async (socket) => {
      socket.setNoDelay(true);
      for (let i = 0; i < 10; i++) {
        socket.write(pattern(5, i));
        await sleep(3);
      }
      socket.end();
    },
  },
  {
    name: 'kernel-ecn',
    what: 'request and answer with ECN asked for',
    shows: 'a peer that agrees to ECN only when asked',
    sysctl: { tcp_ecn: '1' },
    serverSysctl: { tcp_ecn: '1' },
    server: echo,
    client: async (socket) => {
      socket.write(pattern(4000));
      await sleep(30);
      socket.end();
    },
  },
  {
    name: 'kernel-ipv6',
    what: 'request and answer over IPv6, the client closes first',
    shows: 'IPv6',
    family: 6,
    server: echo,
    client: async (socket) => {
      socket.write(pattern(5000));
      await sleep(30);
      socket.end();
    },
  },
  {
    name: 'kernel-ipv6-server-closes-first',
    what: 'a download of 20,000 octets over IPv6, the server closes first',
    shows: 'IPv6, LAST-ACK',
    family: 6,
    server: (socket) => {
      socket.end(pattern(20_000));
    },
    client: (socket) => {
      socket.on('end', () => socket.end());
    },
  },
  {
    name: 'kernel-udp-echo',
    what: 'five datagrams and their echoes',
    shows: 'UDP',
    kind: 'udp',
  },
  {
    name: 'kernel-dns',
    what: 'a question for an IPv4 address and its answer',
    shows: 'DNS over UDP',
    kind: 'dns',
  },
  {
    name: 'kernel-dns-truncated',
    what: 'an answer that is cut off, and the same question again over TCP',
    shows: 'DNS with truncation and TCP fallback: two sessions',
    kind: 'dns-truncated',
  },
  {
    name: 'kernel-tls-1.2',
    what: 'a TLS 1.2 session: handshake, one line each way, close_notify',
    shows: 'TLS records over TCP',
    kind: 'tls1.2',
    server: echo,
    client: async (socket) => {
      socket.write('a secret\n');
      await sleep(50);
      socket.end();
    },
  },
  {
    name: 'kernel-super-segments',
    what: 'an upload and its echo, recorded in front of segmentation',
    shows: 'packets larger than the MTU, checksums left to the device',
    offload: true,
    server: echo,
    client: (socket) => {
      socket.end(pattern(40_000));
    },
  },
  {
    name: 'kernel-any-cooked-v1',
    what: 'request and answer, recorded on all interfaces',
    shows: 'link type Linux cooked v1',
    tcpdump: ['-i', 'any', '-y', 'LINUX_SLL'],
    server: echo,
    client: async (socket) => {
      socket.write(pattern(2000));
      await sleep(30);
      socket.end();
    },
  },
  {
    name: 'kernel-any-cooked-v2',
    what: 'request and answer over IPv6, recorded on all interfaces with nanoseconds',
    shows: 'link type Linux cooked v2, times in nanoseconds',
    tcpdump: ['-i', 'any', '-y', 'LINUX_SLL2', '--time-stamp-precision=nano'],
    family: 6,
    server: echo,
    client: async (socket) => {
      socket.write(pattern(2000));
      await sleep(30);
      socket.end();
    },
  },
  {
    name: 'kernel-tls-1.3',
    what: 'a TLS 1.3 session: handshake, one line each way, close_notify',
    shows: 'TLS records over TCP',
    kind: 'tls',
    server: echo,
    client: async (socket) => {
      socket.write('a secret\n');
      await sleep(50);
      socket.end();
    },
  },
];
