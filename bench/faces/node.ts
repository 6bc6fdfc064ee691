import { createSocket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, connect as tlsConnect } from 'node:tls';
import { portOf, type SubjectOptions } from '../job.ts';
import { type DatagramSocket, StreamFace } from './streams.ts';

const MOST_SESSIONS = 256;

/** What a Node program has without tunwire: the kernel's TCP and UDP, OpenSSL, c-ares. */
export class NodeFace extends StreamFace {
  readonly #secureContext: SecureContext;
  /** Each is used once, as tunwire's store gives them. */
  readonly #sessions: Buffer[] = [];
  readonly #resolver: dns.Resolver = new dns.Resolver();

  constructor(subject: SubjectOptions) {
    super(subject);
    this.#secureContext = createSecureContext({ ca: readFileSync(subject.caFile) });
    this.#resolver.setServers([subject.peerAddress]);
  }

  protected override connect(index: number, connected: () => void): Socket {
    const { job, peerAddress: host } = this.subject;
    const options = { host, port: portOf(job, index), noDelay: true };
    if (!job.tls) return connect(options, connected);
    const session = job.resumes ? this.#sessions.pop() : undefined;
    const secure = { ...options, secureContext: this.#secureContext, minVersion: 'TLSv1.3' } as const;
    const socket = tlsConnect(session === undefined ? secure : { ...secure, session }, connected);
    if (job.resumes) socket.on('session', (ticket) => this.#keep(ticket));
    return socket;
  }

  #keep(session: Buffer): void {
    if (this.#sessions.length < MOST_SESSIONS) this.#sessions.push(session);
  }

  protected override async openUdp(port: number): Promise<DatagramSocket> {
    const socket = createSocket('udp4');
    socket.connect(port, this.subject.peerAddress);
    await once(socket, 'connect');
    return {
      socket,
      send: (data) => new Promise((sent) => socket.send(data, sent)),
      close: () => socket.close(),
    };
  }

  protected override resolve(name: string): Promise<unknown> {
    return this.#resolver.resolve4(name);
  }

  override async close(): Promise<void> {}
}
