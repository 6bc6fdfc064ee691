import { NetError, Phase } from '../stack/errors.ts';
import { copyBytes } from '../stack/wire/copy.ts';
import type { Slab } from '../stack/wire/slab.ts';
import { AlertDescription, AlertLevel } from '../tls/alerts.ts';
import type { TlsClient } from '../tls/client.ts';
import { TlsError } from '../tls/errors.ts';
import { provideHmac, provideRunningHash } from '../tls/keys/hash.ts';
import { provideKeyPairs } from '../tls/keys/raw-key.ts';
import { MAX_RECORD_BYTES } from '../tls/limits.ts';
import { provideAead } from '../tls/record/aead.ts';
import { recordLength } from '../tls/record/handshake-records.ts';
import { exportKeyingMaterial } from '../tls/traffic/exporter.ts';
import { OPENED_CLOSE_NOTIFY, type SessionTicket, TrafficOpener } from '../tls/traffic/opener.ts';
import { MAX_SEAL_OVERHEAD_BYTES, TrafficSealer } from '../tls/traffic/sealer.ts';
import type { HandshakeMessage } from '../tls/wire/messages.ts';
import { openSslAead } from './aead.ts';
import { type Channel, WOULD_BLOCK } from './channel.ts';
import { openSslHmac } from './hmac.ts';
import { openSslKeyPair } from './key-pairs.ts';
import { openSslRunningHash } from './running-hash.ts';
import type { SharedSocket } from './shared-socket.ts';
import { SocketStatus, SocketWord } from './socket-block.ts';
import { tlsNetError } from './tls-error.ts';
import { TlsRegion } from './tls-region.ts';

const RECORD_HEADER_BYTES = 5;
const APPLICATION_DATA = 23;
/** A record is not started in less room than this unless it is the last: small records cost most. */
const LEAST_RECORD_BYTES = 4096;

provideAead(openSslAead);
provideHmac(openSslHmac);
provideRunningHash(openSslRunningHash);
provideKeyPairs(openSslKeyPair);

/** A thread's working memory for records: nothing of a connection stays in it between two calls. */
const scratchRecord = new Uint8Array(MAX_RECORD_BYTES + MAX_SEAL_OVERHEAD_BYTES);
const scratchPlain = new Uint8Array(MAX_RECORD_BYTES);

/** What only the thread that made the handshake can do with what comes after it; in other threads tickets are lost. */
export interface TlsHandlers {
  /** Takes the tickets of the server, inside of `read`. */
  readonly onTicket: ((ticket: SessionTicket) => void) | null;
  /** Is called when a fatal alert was received or is due, inside of `read`. */
  readonly onFailure: (() => void) | null;
  /** Makes the messages that answer a CertificateRequest; null: the server may send none. @throws TlsError */
  readonly authenticate: ((request: HandshakeMessage, secret: Uint8Array) => Uint8Array) | null;
  /** Makes another handshake when the server asks for it; null: it may not. */
  readonly renegotiation: Renegotiator | null;
}

/** Makes the handshakes of renegotiations, over a traffic state at `off` that is locked, see {@link TlsClient.renegotiate}. */
export interface Renegotiator {
  /** False: one more is refused. */
  readonly isAllowed: boolean;
  begin(state: Slab, off: number, onApplicationData: (content: Uint8Array) => void): TlsClient;
}

const NO_HANDLERS: TlsHandlers = {
  onTicket: null,
  onFailure: null,
  authenticate: null,
  renegotiation: null,
};

/**
 * TLS over a shared socket, after the handshake. Its state lies in the socket's TLS region, each direction under a lock
 * of its own: one thread may read while another writes, and any thread can go on where another stopped.
 */
export class TlsChannel implements Channel {
  readonly socket: SharedSocket;
  readonly #slab: Slab;
  readonly #region: number;
  readonly #opener: TrafficOpener;
  readonly #sealer: TrafficSealer;
  readonly #handlers: TlsHandlers;
  /** Wishes of the server for a certificate that are not answered yet. */
  readonly #requests: HandshakeMessage[] = [];
  /** The server has just asked for a renegotiation. */
  #isAsked = false;
  /** The renegotiation under way, and what of its messages has no room yet. */
  #renegotiation: TlsClient | null = null;
  #outgoing: Uint8Array | null = null;
  /** What went wrong behind data that was given. */
  #late: unknown = null;
  /** Where the record of {@link TlsChannel.#nextRecord} lies. */
  #record: Uint8Array = scratchRecord;
  #recordOff = 0;

  /**
   * @param socket one whose handshake is done, in this or another thread
   * @param handlers what the thread that made the handshake does with what comes after it
   */
  constructor(socket: SharedSocket, handlers: TlsHandlers = NO_HANDLERS) {
    this.socket = socket;
    this.#handlers = handlers;
    this.#slab = socket.client.arena.slab;
    this.#region = socket.block.get(SocketWord.TlsOffset);
    this.#opener = new TrafficOpener(this.#slab, this.#region + TlsRegion.Traffic);
    this.#opener.onTicket = handlers.onTicket;
    if (handlers.authenticate !== null) {
      this.#opener.onCertificateRequest = (request): void => {
        this.#requests.push(request);
      };
    }
    const { renegotiation } = handlers;
    if (renegotiation !== null) {
      this.#opener.onHelloRequest = (): boolean => {
        this.#isAsked = renegotiation.isAllowed && this.#get(TlsRegion.Finished) === 0;
        return this.#isAsked;
      };
    }
    this.#sealer = new TrafficSealer(this.#slab, this.#region + TlsRegion.Traffic);
  }

  read(into: Uint8Array, off: number, len: number): number {
    this.socket.lockRecv();
    try {
      const waiting = this.#get(TlsRegion.PlainLen);
      return waiting > 0 ? this.#readPlain(into, off, len, waiting) : this.#readRecords(into, off, len);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.socket.unlockRecv();
    }
  }

  peek(into: Uint8Array, off: number, len: number): number {
    this.socket.lockRecv();
    try {
      if (this.#get(TlsRegion.PlainLen) === 0) {
        // no room at all: the whole record is kept
        const result = this.#readRecords(scratchPlain, 0, 0);
        if (result === WOULD_BLOCK || this.#get(TlsRegion.PlainLen) === 0) return result;
      }
      const from = this.#region + TlsRegion.Plain + this.#get(TlsRegion.PlainOff);
      const given = Math.min(len, this.#get(TlsRegion.PlainLen));
      copyBytes(this.#slab.bytes, from, into, off, given);
      return given;
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.socket.unlockRecv();
    }
  }

  consume(lengthBytes: number): void {
    this.socket.lockRecv();
    const waiting = this.#get(TlsRegion.PlainLen);
    this.#drop(Math.min(lengthBytes, waiting), waiting);
    this.socket.unlockRecv();
  }

  get awaitsPeer(): boolean {
    return this.#renegotiation !== null;
  }

  write(from: Uint8Array, off: number, len: number): number {
    if (this.#renegotiation !== null) this.#renegotiateForWriter();
    this.socket.lockSend();
    try {
      if (this.#get(TlsRegion.Finished) !== 0) throw new NetError('SHUT_DOWN', { phase: Phase.Transfer });
      this.socket.throwIfUnwritable();
      if (this.#get(TlsRegion.Renegotiating) !== 0 || !this.#authenticate()) return WOULD_BLOCK;
      const overheadBytes = this.#sealer.maxOverheadBytes;
      let taken = 0;
      while (taken < len) {
        const wanted = Math.min(len - taken, this.#sealer.maxContentBytes);
        const room = this.socket.roomLocked(wanted + overheadBytes);
        const chunk = Math.min(wanted, room - overheadBytes);
        if (chunk < wanted && chunk < LEAST_RECORD_BYTES) break;
        this.#sealNext(from, off + taken, chunk);
        taken += chunk;
      }
      if (taken === 0) return WOULD_BLOCK;
      // once for all records, so that the engine sends them together
      this.socket.announce();
      return taken;
    } finally {
      this.socket.unlockSend();
    }
  }

  /** Writes a record to the ring, straight where it does not wrap. There is room. */
  #sealNext(from: Uint8Array, off: number, len: number): void {
    const ring = this.socket.sendRing!;
    const most = len + this.#sealer.maxOverheadBytes;
    if (ring.contiguous(ring.head, most) === most) {
      const { bytes } = ring.slab;
      ring.advanceHead(this.#sealer.seal(APPLICATION_DATA, from, off, len, bytes, ring.offsetOf(ring.head)));
    } else {
      const length = this.#sealer.seal(APPLICATION_DATA, from, off, len, scratchRecord, 0);
      this.socket.appendLocked(scratchRecord, 0, length);
    }
  }

  shutdown(): boolean {
    if (this.#get(TlsRegion.Finished) !== 0) return true;
    return this.closeNotify() && this.socket.shutdown();
  }

  /**
   * Keys for another protocol, from the secrets of this connection: RFC 8446 §7.5, RFC 5705.
   * @param context null: none
   * @throws RangeError for a label or length that cannot be, Error for TLS 1.2 without extended master secret
   */
  exportKeyingMaterial(label: string, context: Uint8Array | null, lengthBytes: number): Uint8Array {
    return exportKeyingMaterial(this.#slab, this.#region + TlsRegion.Traffic, label, context, lengthBytes);
  }

  /**
   * Sends an alert of the caller's choice. All but user_canceled and no_renegotiation end the own direction (RFC 8446 §6).
   * @param description 0 … 255
   * @returns false: would block, call again when writable
   */
  sendAlert(level: AlertLevel, description: number): boolean {
    this.socket.lockSend();
    try {
      if (this.#get(TlsRegion.Finished) !== 0) throw new NetError('SHUT_DOWN', { phase: Phase.Transfer });
      if (this.#get(TlsRegion.Renegotiating) !== 0) return false;
      if (this.socket.roomLocked(MAX_SEAL_OVERHEAD_BYTES) < MAX_SEAL_OVERHEAD_BYTES) return false;
      this.#put(this.#sealer.alert(level, description, scratchRecord, 0));
      if (this.#sealer.closed) this.#set(TlsRegion.Finished, 1);
      return true;
    } finally {
      this.socket.unlockSend();
    }
  }

  /** Ends TLS in the own direction and leaves the transport open. @returns false: would block, call again when writable */
  closeNotify(): boolean {
    this.socket.lockSend();
    try {
      if (this.#get(TlsRegion.Finished) !== 0) return true;
      if (this.#get(TlsRegion.Renegotiating) !== 0) return this.#closeRenegotiation();
      if (this.socket.roomLocked(MAX_SEAL_OVERHEAD_BYTES) < MAX_SEAL_OVERHEAD_BYTES) return false;
      this.#sendAlert(AlertLevel.Warning, AlertDescription.CloseNotify);
      return true;
    } finally {
      this.socket.unlockSend();
    }
  }

  #readPlain(into: Uint8Array, off: number, len: number, waiting: number): number {
    const from = this.#region + TlsRegion.Plain + this.#get(TlsRegion.PlainOff);
    const given = Math.min(len, waiting);
    copyBytes(this.#slab.bytes, from, into, off, given);
    this.#drop(given, waiting);
    return given;
  }

  #drop(lengthBytes: number, waiting: number): void {
    const at = this.#get(TlsRegion.PlainOff);
    const from = this.#region + TlsRegion.Plain + at;
    // decrypted data does not lie about longer than it must
    this.#slab.bytes.fill(0, from, from + lengthBytes);
    this.#set(TlsRegion.PlainOff, at + lengthBytes);
    this.#set(TlsRegion.PlainLen, waiting - lengthBytes);
  }

  /** As many records as are there and fit; of the first one what fits. */
  #readRecords(into: Uint8Array, off: number, len: number): number {
    if (this.#late !== null) throw this.#late;
    const first = this.#readRecord(into, off, len);
    if (first <= 0) return first;
    let taken = first;
    try {
      while (taken < len && this.#get(TlsRegion.PlainLen) === 0) {
        const more = this.#readRecord(into, off + taken, len - taken, true);
        if (more <= 0) break;
        taken += more;
      }
    } catch (error) {
      // what came before is good; the socket is told of it at once, the caller the next time
      this.#late = this.#fail(error);
    }
    return taken;
  }

  /**
   * The next record with data.
   * @param wholly only one that fits for sure
   */
  #readRecord(into: Uint8Array, off: number, len: number, wholly = false): number {
    while (this.#get(TlsRegion.Closed) === 0) {
      if (this.#get(TlsRegion.Renegotiating) !== 0) {
        if (wholly || this.#renegotiation === null) return WOULD_BLOCK;
        const ended = this.#renegotiate(this.#renegotiation);
        const waiting = this.#get(TlsRegion.PlainLen);
        if (waiting > 0) return this.#readPlain(into, off, len, waiting);
        if (!ended) return WOULD_BLOCK;
      }
      const finished = this.socket.peerFinished || this.socket.status === SocketStatus.Closed;
      const length = this.#nextRecord();
      if (length === WOULD_BLOCK) {
        if (!finished || wholly) return WOULD_BLOCK;
        // RFC 8446 §6.1: without close_notify the stream may have been cut short
        throw new NetError('TLS_TRUNCATED', { phase: Phase.Transfer });
      }
      if (wholly && len < length) return WOULD_BLOCK;
      // what fits for sure is decrypted where it belongs
      const direct = len >= length;
      const target = direct ? into : scratchPlain;
      const result = this.#opener.open(this.#record, this.#recordOff, length, target, direct ? off : 0);
      this.socket.consumeLocked(length);
      if (this.#isAsked) this.#beginRenegotiation();
      if (this.#sealer.answerOwed || this.#requests.length > 0) this.#answer();
      if (result === OPENED_CLOSE_NOTIFY) this.#set(TlsRegion.Closed, 1);
      else if (result > 0) return direct ? result : this.#keepRest(into, off, len, result);
    }
    return 0;
  }

  /** A key update or a refused renegotiation is answered at once when there is room, else before the next data. */
  #answer(): void {
    this.socket.lockSend();
    try {
      if (this.#get(TlsRegion.Finished) !== 0 || this.socket.roomLocked() < MAX_SEAL_OVERHEAD_BYTES) return;
      if (this.#sealer.answerOwed) this.#put(this.#sealer.writeOwed(scratchRecord, 0));
      this.#authenticate();
    } finally {
      this.socket.unlockSend();
    }
  }

  /** Answers the server's wishes for a certificate, with the lock for sending. @returns false when there is no room yet */
  #authenticate(): boolean {
    const { authenticate } = this.#handlers;
    for (let request = this.#requests[0]; request !== undefined && authenticate !== null; ) {
      const secret = this.#sealer.copyWriteSecret();
      const messages = authenticate(request, secret);
      secret.fill(0);
      const most = this.#sealer.maxMessagesBytes(messages.length);
      if (this.socket.roomLocked(most) < most) return false;
      const records = new Uint8Array(most);
      this.socket.writeLocked(records, 0, this.#sealer.sealMessages(messages, records, 0));
      this.#requests.shift();
      request = this.#requests[0];
    }
    return true;
  }

  #beginRenegotiation(): void {
    this.#isAsked = false;
    const { renegotiation } = this.#handlers;
    if (renegotiation === null) return;
    if (this.#opener.isInsideMessage) throw new TlsError('DataAcrossKeyChange', 'after hello_request');
    this.socket.lockSend();
    try {
      if (this.#get(TlsRegion.Finished) !== 0) return;
      this.#renegotiation = renegotiation.begin(this.#slab, this.#region + TlsRegion.Traffic, (content) => {
        copyBytes(content, 0, this.#slab.bytes, this.#region + TlsRegion.Plain, content.length);
        this.#set(TlsRegion.PlainOff, 0);
        this.#set(TlsRegion.PlainLen, content.length);
      });
      this.#set(TlsRegion.Renegotiating, 1);
    } finally {
      this.socket.unlockSend();
    }
  }

  /**
   * Goes on with a renegotiation, with the lock for receiving, until it has to wait or data has come.
   * @returns whether it has ended
   */
  #renegotiate(client: TlsClient): boolean {
    for (;;) {
      if (!this.#sendMessages(client)) return false;
      if (client.error !== null) throw client.error;
      if (client.state === 'connected') {
        this.#endRenegotiation(client);
        return true;
      }
      if (this.#get(TlsRegion.PlainLen) > 0) return false;
      const finished = this.socket.peerFinished || this.socket.status === SocketStatus.Closed;
      const length = this.#nextRecord();
      if (length === WOULD_BLOCK) {
        if (!finished) return false;
        throw new NetError('TLS_TRUNCATED', { phase: Phase.Transfer, detail: 'during a renegotiation' });
      }
      client.receive(this.#record, this.#recordOff, length);
      this.socket.consumeLocked(length);
    }
  }

  /** A writer has to wait for the end of it, and nobody may be reading. */
  #renegotiateForWriter(): void {
    this.socket.lockRecv();
    try {
      if (this.#renegotiation !== null) this.#renegotiate(this.#renegotiation);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.socket.unlockRecv();
    }
  }

  /** @returns false while there is no room for them */
  #sendMessages(client: TlsClient): boolean {
    this.#outgoing ??= client.takeOutgoing();
    if (this.#outgoing === null) return true;
    this.socket.lockSend();
    try {
      return this.#sendMessagesLocked();
    } finally {
      this.socket.unlockSend();
    }
  }

  #sendMessagesLocked(): boolean {
    if (this.#outgoing === null) return true;
    const { length } = this.#outgoing;
    if (this.socket.roomLocked(length) < length) return false;
    this.socket.writeLocked(this.#outgoing, 0, length);
    this.#outgoing = null;
    return true;
  }

  #endRenegotiation(client: TlsClient): void {
    this.socket.lockSend();
    client.exportTraffic(this.#slab, this.#region + TlsRegion.Traffic);
    this.#set(TlsRegion.Renegotiating, 0);
    this.socket.unlockSend();
    this.#renegotiation = null;
    // other threads that use the connection have waited
    this.socket.block.wakeReaders();
    this.socket.block.wakeWriters();
  }

  /** The application ends its direction before a renegotiation has ended. @returns false: would block */
  #closeRenegotiation(): boolean {
    const client = this.#renegotiation;
    if (client === null || !this.#sendMessagesLocked()) return false;
    client.sendCloseNotify();
    this.#outgoing = client.takeOutgoing();
    if (!this.#sendMessagesLocked()) return false;
    this.#set(TlsRegion.Finished, 1);
    return true;
  }

  /** Finds the next whole record: in the ring, or copied out of it when it wraps there. @returns its length, or WOULD_BLOCK */
  #nextRecord(): number {
    const header = this.socket.peekLocked(scratchRecord, 0, RECORD_HEADER_BYTES);
    if (header <= 0) return WOULD_BLOCK;
    const length = recordLength(scratchRecord, 0, header);
    if (length === 0 || this.socket.readableBytes < length) return WOULD_BLOCK;
    const ring = this.socket.recvRing!;
    const isWhole = ring.contiguous(ring.tail, length) === length;
    this.#record = isWhole ? ring.slab.bytes : scratchRecord;
    this.#recordOff = isWhole ? ring.offsetOf(ring.tail) : 0;
    return isWhole ? length : this.socket.peekLocked(scratchRecord, 0, length);
  }

  #keepRest(into: Uint8Array, off: number, len: number, length: number): number {
    const given = Math.min(len, length);
    copyBytes(scratchPlain, 0, into, off, given);
    copyBytes(scratchPlain, given, this.#slab.bytes, this.#region + TlsRegion.Plain, length - given);
    this.#set(TlsRegion.PlainOff, 0);
    this.#set(TlsRegion.PlainLen, length - given);
    scratchPlain.fill(0, 0, length);
    return given;
  }

  /** A peer that broke the protocol is told so (RFC 8446 §6.2), once. */
  #fail(error: unknown): unknown {
    if (!(error instanceof TlsError)) return error;
    this.#handlers.onFailure?.();
    const client = this.#renegotiation;
    if (client !== null) {
      client.fail(error);
      if (this.#get(TlsRegion.Finished) === 0) this.#sendMessages(client);
      this.#set(TlsRegion.Finished, 1);
    } else if (error.alert >= 0) {
      this.socket.lockSend();
      if (this.#get(TlsRegion.Finished) === 0 && this.socket.roomLocked() >= MAX_SEAL_OVERHEAD_BYTES) {
        this.#sendAlert(AlertLevel.Fatal, error.alert);
      }
      this.socket.unlockSend();
    }
    this.socket.shutdown();
    return tlsNetError(error, null, false);
  }

  #sendAlert(level: AlertLevel, description: number): void {
    this.#set(TlsRegion.Finished, 1);
    this.#put(this.#sealer.alert(level, description, scratchRecord, 0));
  }

  /** There was room for the whole record. */
  #put(length: number): void {
    this.socket.writeLocked(scratchRecord, 0, length);
  }

  #get(field: number): number {
    return this.#slab.view.getInt32(this.#region + field);
  }

  #set(field: number, value: number): void {
    this.#slab.view.setInt32(this.#region + field, value);
  }
}
