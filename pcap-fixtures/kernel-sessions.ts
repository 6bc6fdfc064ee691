import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import type { ReplayOptions } from '../conformance/replay/replay.ts';

/** Where the two sides of a recorded session are. */
export const CLIENT = { v4: '198.18.0.1', v6: '2001:2:0:1::1' } as const;
export const SERVER = { v4: '198.18.0.2', v6: '2001:2:0:1::2' } as const;
export const PORT = 7000;

/** A session that the kernel's own client is recorded in. */
export interface KernelSession {
  readonly name: string;
  readonly what: string;
  readonly shows: string;
  /** sysctl settings of the client's side, below net.ipv4. */
  readonly sysctl?: Readonly<Record<string, string>>;
  /** The server's. */
  readonly serverSysctl?: Readonly<Record<string, string>>;
  readonly family?: 6;
  /** What the server does with a connection; absent: nobody listens. */
  readonly server?: (socket: Socket) => Promise<void> | void;
  /** What the client does once it is connected. */
  readonly client?: (socket: Socket) => Promise<void> | void;
  readonly kind?: 'udp' | 'dns' | 'tls';
  /** What the replay needs to know. */
  readonly replay?: Partial<ReplayOptions>;
}

/** Octets that differ from their neighbours. */
export function pattern(lengthBytes: number, start = 0): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let i = 0; i < lengthBytes; i++) bytes[i] = ((i + start) * 7 + ((i + start) >> 8)) & 255;
  return bytes;
}

const SMALL_BUFFERS = { tcp_rmem: '4096 8192 8192' };

/** Sends back what comes, and ends when the peer ends. */
function echo(socket: Socket): void {
  socket.on('data', (data) => socket.write(data));
  socket.on('end', () => socket.end());
}

/** All of them. */
export const KERNEL_SESSIONS: readonly KernelSession[] = [
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

/** Reads all and tells at the end how much it was. */
function echoLength(socket: Socket): void {
  let total = 0;
  socket.on('data', (data) => {
    total += data.length;
  });
  socket.on('end', () => socket.end(`${total}\n`));
}

/** Lets what goes wrong by intention pass. */
function quiet(socket: Socket): Socket {
  return socket.on('error', () => {});
}

async function serve(session: KernelSession, folder: string): Promise<void> {
  const host = session.family === 6 ? SERVER.v6 : SERVER.v4;
  if (session.kind === 'udp' || session.kind === 'dns') {
    const socket = createSocket('udp4');
    socket.on('message', (data, from) => {
      const answer = session.kind === 'dns' ? dnsAnswer(data) : data;
      socket.send(answer, from.port, from.address, () => {});
    });
    await new Promise<void>((ready) => socket.bind(session.kind === 'dns' ? 53 : PORT, host, ready));
  } else if (session.kind === 'tls') {
    const { readFileSync } = await import('node:fs');
    const key = readFileSync(`${folder}/key.pem`);
    const cert = readFileSync(`${folder}/cert.pem`);
    const server = createTlsServer({ key, cert, minVersion: 'TLSv1.3' }, (socket) =>
      session.server!(quiet(socket)),
    );
    await new Promise<void>((ready) => server.listen(PORT, host, ready));
  } else if (session.server !== undefined) {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
      session.server!(quiet(socket)),
    );
    await new Promise<void>((ready) => server.listen(PORT, host, ready));
  }
  console.log('ready');
  // it ends with the recording
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(0));
}

/** The question with one answer: an address of the documentation networks. */
function dnsAnswer(question: Buffer): Buffer {
  const answer = Buffer.concat([question, Buffer.from('c00c00010001000000780004c6120007', 'hex')]);
  answer.writeUInt16BE(0x8180, 2);
  answer.writeUInt16BE(1, 6);
  return answer;
}

const DNS_QUESTION = Buffer.from(
  '12340100000100000000000007666978747572650474657374000001 0001'.replaceAll(' ', ''),
  'hex',
);

async function talk(session: KernelSession): Promise<void> {
  const host = session.family === 6 ? SERVER.v6 : SERVER.v4;
  if (session.kind === 'udp' || session.kind === 'dns') {
    const socket = createSocket('udp4');
    const count = session.kind === 'dns' ? 1 : 5;
    for (let i = 0; i < count; i++) {
      const data = session.kind === 'dns' ? DNS_QUESTION : pattern(10 + 300 * i, i);
      socket.send(data, session.kind === 'dns' ? 53 : PORT, host);
      await sleep(20);
    }
    socket.close();
    return;
  }
  const socket = quiet(
    session.kind === 'tls'
      ? connectTls({ host, port: PORT, rejectUnauthorized: false, minVersion: 'TLSv1.3' })
      : connect({ host, port: PORT, allowHalfOpen: true }),
  );
  const closed = new Promise<void>((done) => socket.once('close', () => done()));
  socket.once(session.kind === 'tls' ? 'secureConnect' : 'connect', async () => {
    if (!session.name.includes('zero-window-received')) socket.resume();
    await session.client?.(socket);
  });
  await Promise.race([closed, sleep(5000)]);
  process.exit(0);
}

const [role, name, folder = '.'] = process.argv.slice(2);
if (role === 'server' || role === 'client') {
  const session = KERNEL_SESSIONS.find((candidate) => candidate.name === name);
  if (session === undefined) throw new Error(`no session ${name}`);
  if (role === 'server') await serve(session, folder);
  else await talk(session);
}
