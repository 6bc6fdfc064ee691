import { createStack, type NetStack, type Socket } from '../../net/index.ts';
import type { TrustStore } from '../../tls/x509/trust-store.ts';
import { portOf, type SubjectOptions } from '../job.ts';
import { AnyPortStore } from './any-port-store.ts';
import { engineOptions, trustStore } from './engine-options.ts';
import { type DatagramSocket, StreamFace } from './streams.ts';

/** tunwire's sockets in Node's shape. */
export class AsynchronousFace extends StreamFace {
  readonly #stack: NetStack;
  readonly #ca: TrustStore;
  readonly #sessions: AnyPortStore = new AnyPortStore();

  private constructor(subject: SubjectOptions, stack: NetStack) {
    super(subject);
    this.#stack = stack;
    this.#ca = trustStore(subject);
  }

  static async start(subject: SubjectOptions): Promise<AsynchronousFace> {
    return new AsynchronousFace(subject, await createStack(engineOptions(subject)));
  }

  protected override connect(index: number, connected: () => void): Socket {
    const { job, peerAddress } = this.subject;
    const sessions = job.resumes ? this.#sessions : (false as const);
    const options = {
      host: peerAddress,
      port: portOf(job, index),
      noDelay: true,
      ...(job.tls ? { tls: { ca: this.#ca, sessions } } : {}),
    };
    return this.#stack.createConnection(options, connected);
  }

  protected override async openUdp(port: number): Promise<DatagramSocket> {
    const socket = await this.#stack.udp();
    return {
      socket,
      send: (data) => socket.send(data, port, this.subject.peerAddress),
      close: () => socket.close(),
    };
  }

  protected override resolve(name: string): Promise<unknown> {
    return this.#stack.resolve(name, { family: 4 });
  }

  override close(): Promise<void> {
    return this.#stack.close();
  }
}
