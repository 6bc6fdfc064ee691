import type { RandomSource } from '../stack/random.ts';
import type { SecureChannel } from '../stack/resolver/dns-stream.ts';
import { Slab } from '../stack/wire/slab.ts';
import { TlsClient, TRAFFIC_STATE_BYTES } from '../tls/client.ts';
import { OPENED_CLOSE_NOTIFY, TrafficOpener } from '../tls/traffic/opener.ts';
import { MAX_SEALED_BYTES, TrafficSealer } from '../tls/traffic/sealer.ts';
import { ContentType, RECORD_HEADER_BYTES } from '../tls/wire/codes.ts';
import type { CertificateVerifier } from '../tls/x509/verdict.ts';

/** The most that one record carries (RFC 8446 §5.1). */
const MAX_PLAIN_BYTES = 16_384;

/** What a name server has to prove. */
export interface DnsTlsIdentity {
  /** A DNS name or an IP literal. */
  readonly serverName: string;
  readonly verifier: CertificateVerifier;
}

/**
 * TLS between the resolver and one connection to a name server (RFC 7858). Runs in the engine's thread: answers are small and come
 * seldom.
 */
export class DnsTlsChannel implements SecureChannel {
  readonly #client: TlsClient;
  readonly #outgoing: Uint8Array[] = [];
  readonly #plain: Uint8Array[] = [];
  /** For the peer, before there are keys. */
  #waiting: Uint8Array[] = [];
  #received: Uint8Array = new Uint8Array(0);
  #sealer: TrafficSealer | null = null;
  #opener: TrafficOpener | null = null;

  constructor(identity: DnsTlsIdentity, random: RandomSource) {
    this.#client = new TlsClient({
      serverName: identity.serverName,
      verifier: identity.verifier,
      random,
      unixTimeMs: Date.now(),
      // RFC 7858 §3.1 leaves it open, RFC 8310 too; name servers expect this protocol
      alpn: ['dot'],
    });
    this.#client.start();
    this.#collect();
  }

  receive(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#received.length + bytes.length);
    all.set(this.#received);
    all.set(bytes, this.#received.length);
    this.#received = all;
    if (this.#opener === null) this.#handshake();
    if (this.#opener !== null) this.#open(this.#opener);
  }

  send(plain: Uint8Array): void {
    if (this.#sealer === null) this.#waiting.push(plain);
    else this.#seal(this.#sealer, plain);
  }

  takeOutgoing(): Uint8Array | null {
    return this.#outgoing.shift() ?? null;
  }

  takePlain(): Uint8Array | null {
    return this.#plain.shift() ?? null;
  }

  #handshake(): void {
    const consumed = this.#client.receive(this.#received, 0, this.#received.length);
    this.#received = this.#received.subarray(consumed);
    this.#collect();
    if (this.#client.error !== null) throw this.#client.error;
    if (this.#client.state !== 'connected') return;
    const state = new Slab(new Uint8Array(TRAFFIC_STATE_BYTES));
    this.#client.exportTraffic(state, 0);
    this.#sealer = new TrafficSealer(state, 0);
    this.#opener = new TrafficOpener(state, 0);
    for (const plain of this.#waiting) this.#seal(this.#sealer, plain);
    this.#waiting = [];
  }

  #open(opener: TrafficOpener): void {
    const into = new Uint8Array(MAX_PLAIN_BYTES);
    let at = 0;
    const bytes = this.#received;
    while (bytes.length - at >= RECORD_HEADER_BYTES) {
      const length = RECORD_HEADER_BYTES + (((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0));
      if (bytes.length - at < length) break;
      const opened = opener.open(bytes, at, length, into, 0);
      at += length;
      if (opened > 0) this.#plain.push(into.slice(0, opened));
      else if (opened === OPENED_CLOSE_NOTIFY) break;
    }
    this.#received = bytes.slice(at);
  }

  #seal(sealer: TrafficSealer, plain: Uint8Array): void {
    for (let off = 0; off < plain.length; off += MAX_PLAIN_BYTES) {
      const record = new Uint8Array(MAX_SEALED_BYTES);
      const length = Math.min(MAX_PLAIN_BYTES, plain.length - off);
      const sealed = sealer.seal(ContentType.ApplicationData, plain, off, length, record, 0);
      this.#outgoing.push(record.slice(0, sealed));
    }
  }

  #collect(): void {
    for (let bytes = this.#client.takeOutgoing(); bytes !== null; bytes = this.#client.takeOutgoing()) {
      this.#outgoing.push(bytes);
    }
  }
}
