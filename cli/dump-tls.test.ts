import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import type tls from 'node:tls';
import test from 'ava';
import { createMemoryLink, createStack, type TlsVersion } from '../net/index.ts';
import { pattern, readAll } from '../net/testing/consume.ts';
import { CLIENT_V4, SERVER_V4 } from '../net/testing/pair.ts';
import { makeIdentity, SERVER_NAME } from '../net/testing/tls-identity.ts';
import { serveTls } from '../net/testing/tls-server.ts';
import { temporaryFile } from './testing/temporary-file.ts';

const TUNWIRE = resolve(import.meta.dirname, 'tunwire.ts');

interface Message {
  readonly sender: 'client' | 'server';
  readonly type: string;
  readonly name?: string;
  readonly text?: string;
  readonly base64?: string;
}

function messagesOf(file: string): Message[] {
  const args = [TUNWIRE, 'dump', file, '--json'];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const packets = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { tls?: Message[] });
  return packets.flatMap((packet) => packet.tls ?? []);
}

function dataOf(messages: readonly Message[], sender: string): Buffer {
  const data = messages.filter((each) => each.sender === sender && each.type === 'application data');
  return Buffer.concat(
    data.map(({ text, base64 }) => Buffer.from(text ?? base64 ?? '', text === undefined ? 'base64' : 'utf8')),
  );
}

for (const version of ['TLSv1.2', 'TLSv1.3'] satisfies TlsVersion[]) {
  test(`a capture with its secrets is opened, with losses and reordering: ${version}`, async (t) => {
    const file = temporaryFile(t, 'tls.pcapng');
    const [near, far] = createMemoryLink();
    await using server = await createStack({
      device: far,
      addresses: [`${SERVER_V4}/24`],
      resolver: { hostsFile: null },
    });
    await using client = await createStack({
      device: near,
      addresses: [`${CLIENT_V4}/24`],
      resolver: { hostsFile: null },
      capture: { file, secrets: true },
      impairments: { in: { loss: 0.02, duplicate: 0.02 }, out: { loss: 0.02 } },
      seed: 7,
    });
    const identity = makeIdentity();
    const { port } = await serveTls(server, { ...identity, maxVersion: version }, (peer: tls.TLSSocket) =>
      peer.pipe(peer),
    );
    const sent = pattern(200_000);
    const options = { host: SERVER_V4, port, tls: { ca: identity.ca, servername: SERVER_NAME } };
    for (const isResumed of [false, true]) {
      const socket = await client.connect(options);
      t.is(socket.isSessionReused(), isResumed);
      socket.end(sent);
      t.true((await readAll(socket)).equals(sent));
    }
    await client.close();
    const messages = messagesOf(file);
    t.deepEqual(
      messages
        .filter(({ name }) => name === 'client_hello' || name === 'finished')
        .map(({ sender, name }) => `${sender} ${name}`)
        .sort(),
      [
        'client client_hello',
        'client client_hello',
        'client finished',
        'client finished',
        'server finished',
        'server finished',
      ],
    );
    // a resumed handshake has no certificate
    t.is(messages.filter(({ name }) => name === 'certificate').length, 1);
    const twice = Buffer.concat([sent, sent]);
    t.true(dataOf(messages, 'client').equals(twice));
    t.true(dataOf(messages, 'server').equals(twice));
  });
}
