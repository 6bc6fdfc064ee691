import { type Endpoint, EndpointEvent, type EndpointObserver, INTERNAL_OWNER } from '../endpoint.ts';
import type { Stack } from '../stack.ts';
import type { TcpConnection } from '../tcp/connection.ts';
import type { NameServer } from './name-server.ts';

/** Gets what a DNS exchange over TCP brings. */
export interface TcpMessageReceiver {
  /** One whole message; valid during the call only. */
  tcpMessage(bytes: Uint8Array, lengthBytes: number): void;
  /** The connection ended without the message that was waited for. */
  tcpEnded(reason: string): void;
}

/** RFC 7766 §8: each message is preceded by its length in two bytes. */
const LENGTH_BYTES = 2;

/** One query over a TCP connection of its own (RFC 7766). The time it may take is the caller's business. */
export class DnsOverTcp implements EndpointObserver {
  readonly #receiver: TcpMessageReceiver;
  readonly #connection: TcpConnection;
  readonly #query: Uint8Array;
  readonly #length = new Uint8Array(LENGTH_BYTES);
  /** Bytes of the length and of the message that have come. */
  #gotBytes = 0;
  #message: Uint8Array | null = null;
  #over = false;

  /** @throws NetError when there is no way to the server or no free port */
  constructor(stack: Stack, server: NameServer, query: Uint8Array, receiver: TcpMessageReceiver) {
    this.#receiver = receiver;
    // RFC 7766 §8: length and message go out in one segment
    this.#query = new Uint8Array(LENGTH_BYTES + query.length);
    this.#query[0] = query.length >>> 8;
    this.#query[1] = query.length & 0xff;
    this.#query.set(query, LENGTH_BYTES);
    this.#connection = stack.tcp.connect({
      remote: server.address,
      remotePort: server.port,
      local: null,
      localPort: 0,
      noDelay: true,
      keepAlive: null,
      owner: INTERNAL_OWNER,
    });
    this.#connection.observer = this;
  }

  /** Lets the connection go (a FIN, or nothing when it is not established yet); the receiver is not called any more. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#connection.close();
  }

  endpointEvents(_endpoint: Endpoint, events: number): void {
    if (this.#over) return;
    if ((events & EndpointEvent.Ready) !== 0 && !this.#sendQuery()) {
      this.#end('there is no memory for a TCP connection');
      return;
    }
    if ((events & (EndpointEvent.Readable | EndpointEvent.PeerFinished)) !== 0) this.#receive();
    if (this.#over) return;
    if ((events & EndpointEvent.Closed) !== 0) this.#end(closeReason(this.#connection));
    else if ((events & EndpointEvent.PeerFinished) !== 0) this.#end('it closed the TCP connection');
  }

  #sendQuery(): boolean {
    const ring = this.#connection.sendRing;
    if (ring === null || ring.freeBytes < this.#query.length) return false;
    ring.write(this.#query, 0, this.#query.length);
    this.#connection.appWrote();
    return true;
  }

  #receive(): void {
    const ring = this.#connection.recvRing;
    if (ring === null) return;
    let taken = 0;
    while (!this.#over) {
      const message = this.#message;
      if (message === null) {
        const got = ring.read(this.#length, this.#gotBytes, LENGTH_BYTES - this.#gotBytes);
        if (got === 0) break;
        taken += got;
        this.#gotBytes += got;
        if (this.#gotBytes < LENGTH_BYTES) continue;
        // At most 65,535 bytes, by the width of the field
        this.#message = new Uint8Array(((this.#length[0] ?? 0) << 8) | (this.#length[1] ?? 0));
        this.#gotBytes = 0;
      } else if (this.#gotBytes < message.length) {
        const got = ring.read(message, this.#gotBytes, message.length - this.#gotBytes);
        if (got === 0) break;
        taken += got;
        this.#gotBytes += got;
      } else {
        this.#message = null;
        this.#gotBytes = 0;
        this.#receiver.tcpMessage(message, message.length);
      }
    }
    if (taken > 0 && !this.#over) this.#connection.appRead();
  }

  #end(reason: string): void {
    this.cancel();
    this.#receiver.tcpEnded(reason);
  }
}

function closeReason(connection: TcpConnection): string {
  return connection.error === null ? 'it closed the TCP connection' : `TCP: ${connection.error}`;
}
