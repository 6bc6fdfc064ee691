import type { Duplex } from 'node:stream';
import { Slab } from '../../stack/wire/slab.ts';
import { type TlsClient, type TlsError, TRAFFIC_STATE_BYTES } from '../client.ts';
import { OPENED_CLOSE_NOTIFY, type SessionTicket, TrafficOpener } from '../traffic/opener.ts';
import { MAX_SEALED_BYTES, TrafficSealer } from '../traffic/sealer.ts';
import { ContentType, RECORD_HEADER_BYTES } from '../wire/codes.ts';
import type { HandshakeMessage } from '../wire/messages.ts';
import { TEST_TIME } from './certificates.ts';

/** Runs a client over a stream, so that tests can talk to real servers. */
export class TestConnection {
  readonly client: TlsClient;
  readonly tickets: SessionTicket[] = [];
  /** Everything the server said, as latin1. */
  received = '';
  receivedBytes = 0;
  isClosedByPeer = false;
  error: Error | null = null;
  sealer: TrafficSealer | null = null;
  /** Renegotiations that the server has begun, and that have ended. */
  renegotiations = 0;
  readonly state: Slab = new Slab(new Uint8Array(new SharedArrayBuffer(TRAFFIC_STATE_BYTES)));
  readonly #stream: Duplex;
  readonly #unixTimeMs: number;
  #opener: TrafficOpener | null = null;
  #waiting: Uint8Array = new Uint8Array(0);
  readonly #into = new Uint8Array(16384);
  #isAsked = false;
  /** The client of the last renegotiation, or the first; it is at work while it shakes hands. */
  #latest: TlsClient;
  #wake: () => void = () => {};

  /**
   * @param unixTimeMs at which tickets come
   * @param early data to send before the server has answered
   */
  constructor(
    client: TlsClient,
    stream: Duplex,
    unixTimeMs: number = TEST_TIME,
    early: Uint8Array = new Uint8Array(0),
  ) {
    this.client = client;
    this.#latest = client;
    this.#unixTimeMs = unixTimeMs;
    this.#stream = stream;
    stream.on('data', (chunk: Uint8Array) => this.#receive(chunk));
    stream.on('close', () => this.#wake());
    stream.on('error', () => this.#wake());
    client.start();
    client.sendEarlyData(early, 0, early.length);
    this.#flush();
  }

  /** Resolves when the condition holds; rejects when the connection has ended before. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.error !== null) throw this.error;
      if (this.#stream.destroyed) throw new Error(`the stream ended; state ${this.client.state}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get isConnected(): boolean {
    return this.client.state === 'connected';
  }

  /** Waits for the end of the handshake, however it ends. */
  async handshake(): Promise<TlsError | null> {
    await this.until(() => this.client.state !== 'handshaking');
    return this.client.error;
  }

  send(data: Uint8Array): void {
    const sealer = this.sealer!;
    const record = new Uint8Array(MAX_SEALED_BYTES + sealer.maxOverheadBytes);
    const step = sealer.maxContentBytes;
    for (let off = 0; off < data.length; off += step) {
      const length = Math.min(step, data.length - off);
      const n = sealer.seal(ContentType.ApplicationData, data, off, length, record, 0);
      this.#stream.write(record.slice(0, n));
    }
  }

  updateKey(requestPeer: boolean): void {
    const record = new Uint8Array(MAX_SEALED_BYTES);
    this.#stream.write(record.slice(0, this.sealer!.keyUpdate(requestPeer, record, 0)));
  }

  close(): void {
    const record = new Uint8Array(100);
    if (this.sealer !== null && !this.sealer.closed) {
      this.#stream.write(record.slice(0, this.sealer.alert(1, 0, record, 0)));
    }
    this.#stream.end();
  }

  #receive(chunk: Uint8Array): void {
    this.#waiting = Buffer.concat([this.#waiting, chunk]);
    try {
      if (this.client.state === 'handshaking') {
        this.#waiting = this.#waiting.subarray(this.client.receive(this.#waiting, 0, this.#waiting.length));
        this.#flush();
        if (this.isConnected) this.#startTraffic();
      }
      this.#renegotiate();
      if (this.#opener !== null) this.#open(this.#opener);
    } catch (error) {
      this.error = error as Error;
    }
    this.#wake();
  }

  #startTraffic(): void {
    this.client.exportTraffic(this.state, 0);
    this.sealer = new TrafficSealer(this.state, 0);
    this.#opener = new TrafficOpener(this.state, 0);
    this.#opener.onTicket = (ticket) => {
      this.tickets.push(ticket);
      this.client.keepTicket(ticket, this.#unixTimeMs);
    };
    this.#opener.onHelloRequest = () => {
      this.#isAsked = this.#latest.allowsRenegotiation;
      return this.#isAsked;
    };
    if (this.client.answersCertificateRequests) {
      this.#opener.onCertificateRequest = (request) => this.#authenticate(request);
    }
  }

  /** Begins what the server has asked for, and goes on with it. */
  #renegotiate(): void {
    if (this.#isAsked) {
      this.#isAsked = false;
      this.#latest = this.#latest.renegotiate(this.state, 0, this.#unixTimeMs, (data) => this.#take(data));
    } else if (this.#latest.state === 'handshaking' && this.#latest !== this.client) {
      this.#waiting = this.#waiting.subarray(this.#latest.receive(this.#waiting, 0, this.#waiting.length));
    } else return;
    const bytes = this.#latest.takeOutgoing();
    if (bytes !== null) this.#stream.write(bytes);
    if (this.#latest.error !== null) throw this.#latest.error;
    if (this.#latest.state !== 'connected') return;
    this.#latest.exportTraffic(this.state, 0);
    this.renegotiations++;
  }

  #take(data: Uint8Array): void {
    this.receivedBytes += data.length;
    if (this.receivedBytes <= 65536) this.received += Buffer.from(data).toString('latin1');
  }

  #authenticate(request: HandshakeMessage): void {
    const sealer = this.sealer!;
    const answer = this.client.answerCertificateRequest(request, sealer.copyWriteSecret());
    const records = new Uint8Array(sealer.maxMessagesBytes(answer.length));
    this.#stream.write(records.subarray(0, sealer.sealMessages(answer, records, 0)));
  }

  #open(opener: TrafficOpener): void {
    while (this.#latest.state === 'connected') {
      const bytes = this.#waiting;
      if (bytes.length < RECORD_HEADER_BYTES) return;
      const length = RECORD_HEADER_BYTES + ((bytes[3]! << 8) | bytes[4]!);
      if (bytes.length < length) return;
      const n = opener.open(bytes, 0, length, this.#into, 0);
      this.#waiting = bytes.subarray(length);
      if (n === OPENED_CLOSE_NOTIFY) this.isClosedByPeer = true;
      if (n > 0) this.#take(this.#into.subarray(0, n));
      if (this.#isAsked) this.#renegotiate();
    }
  }

  #flush(): void {
    const bytes = this.client.takeOutgoing();
    if (bytes !== null) this.#stream.write(bytes);
  }
}
