import type { Endpoint } from '../endpoint.ts';
import { TcpConnection } from '../tcp/connection.ts';
import type { TcpListener } from '../tcp/listener.ts';
import { addressOf } from './packets.ts';
import { PAIR_ADDRESSES, type StackPair } from './stack-pair.ts';

const CHUNK_BYTES = 65_536;
const FIRST_PORT = 7;

/** A sender that always has more to send, at the first stack of a pair, and a receiver that reads at once, at the second. */
export class BulkTransfer {
  readonly sender: TcpConnection;
  /** Bytes that the receiver's application has. */
  receivedBytes = 0;
  readonly #listener: TcpListener;
  #receiver: TcpConnection | null = null;
  #leftBytes: number;
  readonly #chunk: Uint8Array = new Uint8Array(CHUNK_BYTES);

  /** @param bytes to send; Infinity: without end. @param congestion default: the stack's */
  constructor(pair: StackPair, bytes: number, congestion?: string, port: number = FIRST_PORT) {
    this.#leftBytes = bytes;
    this.#listener = pair.b.tcp.listen({ local: null, port, backlog: 1 });
    this.sender = pair.a.tcp.connect({
      remote: addressOf(PAIR_ADDRESSES.b.v4),
      remotePort: port,
      local: null,
      localPort: 0,
      noDelay: false,
      keepAlive: null,
      ...(congestion === undefined ? {} : { congestion }),
    });
    const others = pair.onEvents;
    pair.onEvents = (endpoint, events) => {
      if (!this.#handles(endpoint)) others(endpoint, events);
    };
    this.#write();
  }

  /** Sends no more. */
  stop(): void {
    this.#leftBytes = 0;
  }

  #handles(endpoint: Endpoint): boolean {
    if (endpoint === this.#listener) {
      this.#receiver = (endpoint as TcpListener).accept();
      this.#read();
    } else if (endpoint === this.sender) {
      this.#write();
    } else if (endpoint === this.#receiver && endpoint instanceof TcpConnection) {
      this.#read();
    } else {
      return false;
    }
    return true;
  }

  #write(): void {
    const ring = this.sender.sendRing;
    if (ring === null) return;
    while (this.#leftBytes > 0 && ring.freeBytes > 0) {
      const bytes = Math.min(CHUNK_BYTES, this.#leftBytes, ring.freeBytes);
      this.#leftBytes -= ring.write(this.#chunk, 0, bytes);
    }
    this.sender.appWrote();
  }

  #read(): void {
    const connection = this.#receiver;
    const ring = connection?.recvRing ?? null;
    if (connection === null || ring === null) return;
    while (ring.usedBytes > 0) this.receivedBytes += ring.read(this.#chunk, 0, CHUNK_BYTES);
    connection.appRead();
  }
}
