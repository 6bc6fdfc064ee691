// needs: tshark
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import test from 'ava';
import { issueCa, issueServer } from '../tls/testing/certificates.ts';
import { capture } from './capture.ts';
import { createMemoryLink, openMemory } from './memory.ts';
import { PcapngWriter } from './pcapng.ts';
import { Collector } from './testing/packets.ts';
import { datagram, segment } from './testing/raw-packets.ts';

const CLIENT = { source: '192.0.2.1', destination: '192.0.2.2', sourcePort: 4000, destinationPort: 443 };
const SERVER = { source: '192.0.2.2', destination: '192.0.2.1', sourcePort: 443, destinationPort: 4000 };
const SYN = 2;
const PSH = 8;
const ACK = 16;

const run = promisify(execFile);

async function tshark(path: string, ...args: string[]): Promise<string> {
  const checksums = ['tcp', 'udp', 'ip'].flatMap((what) => ['-o', `${what}.check_checksum:TRUE`]);
  // as root it warns about that on standard error
  const { stdout } = await run('tshark', ['-n', '-r', path, ...checksums, ...args], { maxBuffer: 1 << 26 });
  return stdout;
}

/** One side of a byte stream: what is written is told, what is pushed can be read. */
function side(told: (chunk: Buffer) => void): Duplex {
  return new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      told(chunk);
      done();
    },
  });
}

test('tshark reads a capture without complaint, and opens its TLS', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tunwire-tshark-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'test.pcapng');
  const writer = new PcapngWriter(path, { application: 'tunwire test' });
  const [a, b] = createMemoryLink({ checksums: 'skip', segmentBytes: 65_535 });
  const device = capture(openMemory(a), writer, { clock: () => performance.now(), name: 'lab0' });
  const peer = openMemory(b);
  const got = new Collector();

  // a TCP conversation around a real TLS one: the memory device carries the segments, the capture sees them
  let clientNext = 0xffffff00 | 0;
  let serverNext = 0x7fffff00 | 0;
  const fromClient = (flags: number, payload: Uint8Array): void => {
    const fields = { ...CLIENT, sequence: clientNext, acknowledgment: flags & ACK ? serverNext : 0, flags };
    const packet = segment(fields, payload, payload.length > 1460 ? 1460 : 0);
    packet.comment = flags & SYN ? 'first try' : '';
    t.true(device.send(packet));
    peer.receive(got, 9);
    clientNext = (clientNext + payload.length + (flags & SYN ? 1 : 0)) | 0;
  };
  const fromServer = (flags: number, payload: Uint8Array): void => {
    t.true(
      peer.send(segment({ ...SERVER, sequence: serverNext, acknowledgment: clientNext, flags }, payload)),
    );
    device.receive(got, 9);
    serverNext = (serverNext + payload.length + (flags & SYN ? 1 : 0)) | 0;
  };
  const none = new Uint8Array(0);
  fromClient(SYN, none);
  fromServer(SYN | ACK, none);
  fromClient(ACK, none);

  const ca = issueCa('capture authority');
  const issued = issueServer(['capture.test'], ca);
  const key = issued.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const serverSide: Duplex = side((chunk) => {
    fromServer(ACK | PSH, chunk);
    clientSide.push(chunk);
  });
  const clientSide: Duplex = side((chunk) => {
    fromClient(ACK | PSH, chunk);
    serverSide.push(chunk);
  });
  const server = new TLSSocket(serverSide, {
    isServer: true,
    secureContext: createSecureContext({ cert: issued.pem, key }),
  });
  server.once('data', () =>
    server.write(`HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n${'x'.repeat(5000)}`),
  );
  // whether the certificate is valid today does not matter here
  const client = connect({ socket: clientSide, rejectUnauthorized: false, minVersion: 'TLSv1.3' });
  client.on('keylog', (line) => writer.secrets(line.toString()));
  client.write('GET /in-the-clear HTTP/1.1\r\nHost: capture.test\r\n\r\n');
  await new Promise<void>((done) => {
    let count = 0;
    client.on('data', (chunk) => {
      count += chunk.length;
      if (count > 5000) done();
    });
  });
  const v6 = { source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 9, destinationPort: 9 };
  device.send(datagram(v6, Buffer.from('odd')));
  device.close();
  writer.close();

  const expert = await tshark(path, '-Y', '_ws.malformed || _ws.expert.severity >= 0x600000');
  t.is(expert, '', 'no malformed packet, no warning, no error');
  t.is(await tshark(path, '-Y', 'tcp.checksum.status == 0 || udp.checksum.status == 0'), '');
  t.is((await tshark(path, '-Y', 'udp.checksum.status == 1')).split('\n').length, 2);
  t.regex(await tshark(path, '-Y', 'http.request'), /GET \/in-the-clear/);
  t.regex(await tshark(path, '-Y', 'http.response'), /200 OK/);
  t.regex(
    await tshark(path, '-Y', 'tls.handshake.type == 11'),
    /Certificate/,
    'the first encrypted flight too',
  );
  const fields = ['-e', 'frame.comment', '-e', 'frame.interface_name', '-e', 'frame.packet_flags_direction'];
  const first = await tshark(path, '-c', '1', '-T', 'fields', ...fields);
  t.regex(first.trim(), /^first try\tlab0\t(0x0+)?2$/);
});
