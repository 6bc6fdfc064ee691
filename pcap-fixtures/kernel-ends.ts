/** `node pcap-fixtures/kernel-ends.ts server|client NAME [FOLDER]`: one end of a session, on the sockets of the kernel; for record.ts. */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { type KernelSession, PORT, pattern, SERVER } from './kernel-session.ts';
import { CABLE_SESSIONS } from './kernel-sessions.ts';
import { WIRE_SESSIONS } from './kernel-wire-sessions.ts';

/** Lets what goes wrong by intention pass. */
function quiet(socket: Socket): Socket {
  return socket.on('error', () => {});
}

async function serve(session: KernelSession, folder: string): Promise<void> {
  const host = session.family === 6 ? SERVER.v6 : SERVER.v4;
  if (session.kind === 'udp' || session.kind === 'dns' || session.kind === 'dns-truncated') {
    const socket = createSocket('udp4');
    socket.on('message', (data, from) => {
      const answer = session.kind === 'udp' ? data : dnsAnswer(data, session.kind === 'dns-truncated');
      socket.send(answer, from.port, from.address, () => {});
    });
    await new Promise<void>((ready) => socket.bind(session.kind === 'udp' ? PORT : DNS_PORT, host, ready));
    if (session.kind === 'dns-truncated') {
      const server = createServer((one) => {
        quiet(one).once('data', (question) => one.end(framed(dnsAnswer(question.subarray(2), false))));
      });
      await new Promise<void>((ready) => server.listen(DNS_PORT, host, ready));
    }
  } else if (isTls(session)) {
    const key = readFileSync(`${folder}/key.pem`);
    const cert = readFileSync(`${folder}/cert.pem`);
    const server = createTlsServer({ key, cert, ...versionOf(session) }, (socket) =>
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

function isTls({ kind }: KernelSession): boolean {
  return kind === 'tls' || kind === 'tls1.2';
}

function versionOf({ kind }: KernelSession): {
  minVersion: 'TLSv1.2' | 'TLSv1.3';
  maxVersion: 'TLSv1.2' | 'TLSv1.3';
} {
  const version = kind === 'tls1.2' ? 'TLSv1.2' : 'TLSv1.3';
  return { minVersion: version, maxVersion: version };
}

/** A DNS message as TCP carries it (RFC 1035 §4.2.2). */
function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** The question with one answer, an address of the documentation networks; or without it and with TC set. */
function dnsAnswer(question: Buffer, isTruncated: boolean): Buffer {
  if (isTruncated) {
    const cut = Buffer.from(question);
    cut.writeUInt16BE(0x8380, 2);
    return cut;
  }
  const answer = Buffer.concat([question, Buffer.from('c00c00010001000000780004c6120007', 'hex')]);
  answer.writeUInt16BE(0x8180, 2);
  answer.writeUInt16BE(1, 6);
  return answer;
}

/** No session takes longer. */
const MAX_SESSION_MS = 10_000;
const DNS_PORT = 53;
const DNS_QUESTION = Buffer.from(
  '12340100000100000000000007666978747572650474657374000001 0001'.replaceAll(' ', ''),
  'hex',
);

async function talk(session: KernelSession): Promise<void> {
  const host = session.family === 6 ? SERVER.v6 : SERVER.v4;
  if (session.kind === 'udp' || session.kind === 'dns' || session.kind === 'dns-truncated') {
    const socket = createSocket('udp4');
    const isDns = session.kind !== 'udp';
    for (let i = 0; i < (isDns ? 1 : 5); i++) {
      socket.send(isDns ? DNS_QUESTION : pattern(10 + 300 * i, i), isDns ? DNS_PORT : PORT, host);
      await sleep(20);
    }
    socket.close();
    if (session.kind !== 'dns-truncated') return;
    const again = quiet(connect({ host, port: DNS_PORT }));
    again.write(framed(DNS_QUESTION));
    again.resume();
    await new Promise<void>((done) => again.once('close', () => done()));
    return;
  }
  const socket = quiet(
    isTls(session)
      ? connectTls({ host, port: PORT, rejectUnauthorized: false, ...versionOf(session) })
      : connect({ host, port: PORT, allowHalfOpen: true }),
  );
  if (session.killAfterMs !== undefined) setTimeout(() => process.exit(0), session.killAfterMs);
  const closed = new Promise<void>((done) => socket.once('close', () => done()));
  socket.once(isTls(session) ? 'secureConnect' : 'connect', async () => {
    if (!session.name.includes('zero-window-received')) socket.resume();
    await session.client?.(socket);
  });
  await Promise.race([closed, sleep(MAX_SESSION_MS)]);
  process.exit(0);
}

const [role, name, folder = '.'] = process.argv.slice(2);
if (role === 'server' || role === 'client') {
  const session = [...CABLE_SESSIONS, ...WIRE_SESSIONS].find((candidate) => candidate.name === name);
  if (session === undefined) throw new Error(`no session ${name}`);
  if (role === 'server') await serve(session, folder);
  else await talk(session);
}
