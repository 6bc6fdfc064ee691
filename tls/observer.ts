import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { alertName } from './alerts.ts';
import { TlsError } from './errors.ts';
import type { KeyLogLabel } from './key-log.ts';
import { nextTrafficSecret, trafficKeyOf } from './keys/key-schedule.ts';
import { keyBlock } from './keys/prf.ts';
import { type CipherSuite, cipherSuiteOf, TLS13_SUITES } from './keys/suites.ts';
import { MessageJoiner } from './record/message-joiner.ts';
import { RecordKey } from './record/record-key.ts';
import { type RecordProtection, recordProtectionOf, startCipherState } from './record/record-protection.ts';
import {
  ContentType,
  ExtensionType,
  HandshakeType,
  handshakeTypeName,
  RECORD_HEADER_BYTES,
  type TlsVersion,
  versionOf,
} from './wire/codes.ts';
import { bodyOf, type HandshakeMessage, readServerHello } from './wire/messages.ts';

export type TlsSender = 'client' | 'server';

/** Something that one of the two has said. */
export interface ObservedMessage {
  readonly sender: TlsSender;
  readonly type: 'handshake' | 'application data' | 'alert' | 'change cipher spec';
  /** Of a handshake message or an alert, as its RFC writes it; else ''. */
  readonly name: string;
  /** What stands in it: the message with its header, the data; a copy. */
  readonly bytes: Uint8Array;
}

/** Connections whose secrets are kept; of more the first are forgotten. */
export const MAX_OBSERVED_CONNECTIONS = 100_000;
/** The longest record there may be (RFC 5246 §6.2.3). */
const MAX_RECORD_BYTES: number = RECORD_HEADER_BYTES + 2 ** 14 + 2048;
/** RFC 8446 §4.6.3: updates of a key that a capture may have missed. */
const MAX_MISSED_KEYS = 2;

/** Secrets of connections, from lines of NSS key logs (RFC 9850). */
export class ObservedSecrets {
  readonly #secrets: Map<string, Map<string, Uint8Array>> = new Map();

  /** Adds the lines of a key log; others are passed over. */
  add(text: string): void {
    for (const line of text.split('\n')) {
      const [, label = '', random = '', secret = ''] =
        /^([A-Z_0-9]+) ([0-9a-f]{64}) ((?:[0-9a-f]{2})+)\s*$/i.exec(line) ?? [];
      if (label === '') continue;
      const key = random.toLowerCase();
      const known = this.#secrets.get(key) ?? new Map<string, Uint8Array>();
      known.set(label, hexToBytes(secret));
      this.#secrets.set(key, known);
      if (this.#secrets.size > MAX_OBSERVED_CONNECTIONS)
        this.#secrets.delete(this.#secrets.keys().next().value!);
    }
  }

  /** @returns null: it is not known */
  of(clientRandom: Uint8Array, label: KeyLogLabel): Uint8Array | null {
    return this.#secrets.get(bytesToHex(clientRandom))?.get(label) ?? null;
  }
}

/** What is known of one direction. */
interface Side {
  readonly joiner: MessageJoiner;
  /** The start of a record whose rest has not come. */
  rest: Uint8Array;
  /** null: its records are not protected. */
  protection: RecordProtection | null;
  /** Records under the key in use. */
  sequence: number;
  /** TLS 1.3: traffic secrets to come, the next one first. */
  next: Uint8Array[];
  /** The last secret in use, which key updates go on from. */
  secret: Uint8Array | null;
  /** Before TLS 1.3: what change_cipher_spec begins. */
  pending: RecordProtection | null;
  /** Before TLS 1.3: behind a change_cipher_spec without the secret. */
  isUnreadable: boolean;
}

/**
 * Listens to a TLS connection of others: names what is said in the clear, and opens what is protected where the secrets are known.
 * What cannot be opened is left out.
 */
export class TlsObserver {
  readonly #secrets: ObservedSecrets;
  readonly #sides: Readonly<Record<TlsSender, Side>> = { client: newSide(), server: newSide() };
  #clientRandom: Uint8Array | null = null;
  #suite: CipherSuite | null = null;
  #isTls13 = false;
  #found: ObservedMessage[] = [];
  #isOver = false;

  constructor(secrets: ObservedSecrets) {
    this.#secrets = secrets;
  }

  /** False once something came that is no TLS, or whose place in the stream is not known. */
  get isFollowing(): boolean {
    return !this.#isOver;
  }

  /** Takes the bytes that come next in a direction. @returns what has become whole by them */
  receive(sender: TlsSender, bytes: Uint8Array): ObservedMessage[] {
    this.#found = [];
    const side = this.#sides[sender];
    const all = new Uint8Array(side.rest.length + bytes.length);
    all.set(side.rest);
    all.set(bytes, side.rest.length);
    let at = 0;
    while (!this.#isOver && all.length - at >= RECORD_HEADER_BYTES) {
      const lengthBytes = RECORD_HEADER_BYTES + ((all[at + 3]! << 8) | all[at + 4]!);
      const isRecord = all[at]! >= 20 && all[at]! <= 23 && all[at + 1] === 3;
      if (!isRecord || lengthBytes > MAX_RECORD_BYTES) this.#isOver = true;
      else if (all.length - at < lengthBytes) break;
      else this.#record(sender, side, all, at, lengthBytes);
      at += lengthBytes;
    }
    side.rest = this.#isOver ? new Uint8Array(0) : all.slice(at);
    return this.#found;
  }

  #record(sender: TlsSender, side: Side, bytes: Uint8Array, off: number, lengthBytes: number): void {
    const type = bytes[off]!;
    try {
      if (type === ContentType.ChangeCipherSpec) {
        this.#changeCipherSpec(sender, side, bytes, off, lengthBytes);
        return;
      }
      if (side.isUnreadable) return;
      const isSealed = side.protection !== null || type === ContentType.ApplicationData;
      if (!isSealed)
        this.#content(sender, side, type, bytes.slice(off + RECORD_HEADER_BYTES, off + lengthBytes));
      else this.#open(sender, side, bytes, off, lengthBytes);
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      this.#isOver = true;
    }
  }

  #changeCipherSpec(
    sender: TlsSender,
    side: Side,
    bytes: Uint8Array,
    off: number,
    lengthBytes: number,
  ): void {
    const { protection } = side;
    // that of a renegotiation is the last record under the old keys
    const isOpened =
      protection !== null &&
      !this.#isTls13 &&
      this.#tryOpen(protection, side.sequence, bytes, off, lengthBytes);
    const content = isOpened
      ? protection.opened.slice(0, protection.openedBytes)
      : bytes.slice(off + RECORD_HEADER_BYTES, off + lengthBytes);
    this.#tell(sender, 'change cipher spec', '', content);
    // RFC 8446 §D.4: in TLS 1.3 it means nothing
    if (side.pending !== null) this.#protect(side, side.pending);
    else if (this.#suite !== null && !this.#isTls13) side.isUnreadable = true;
    side.pending = null;
  }

  #open(sender: TlsSender, side: Side, bytes: Uint8Array, off: number, lengthBytes: number): void {
    const early = sender === 'client' && side.protection === null ? this.#earlySecret() : null;
    if (early !== null && !side.next.includes(early)) side.next.unshift(early);
    if (side.protection !== null && this.#tryOpen(side.protection, side.sequence, bytes, off, lengthBytes)) {
      side.sequence++;
      this.#opened(sender, side, side.protection);
      return;
    }
    // keys change with messages that a capture may lack: whatever opens the record is in use now
    const candidates = [...side.next];
    for (let secret = side.next.at(-1) ?? side.secret, i = 0; secret !== null && i < MAX_MISSED_KEYS; i++) {
      if (this.#suite === null) break;
      secret = nextTrafficSecret(this.#suite, secret);
      candidates.push(secret);
    }
    for (const [i, secret] of candidates.entries()) {
      for (const suite of this.#suite === null ? suitesOf(secret) : [this.#suite]) {
        const { key, iv } = trafficKeyOf(suite, secret);
        const protection = new RecordKey(suite, key, iv);
        if (!this.#tryOpen(protection, 0, bytes, off, lengthBytes)) continue;
        side.next.splice(0, i + 1);
        side.secret = secret;
        this.#protect(side, protection);
        side.sequence = 1;
        this.#opened(sender, side, protection);
        return;
      }
    }
  }

  #tryOpen(
    protection: RecordProtection,
    sequence: number,
    bytes: Uint8Array,
    off: number,
    lengthBytes: number,
  ): boolean {
    try {
      protection.open(Math.floor(sequence / 2 ** 32), sequence | 0, bytes, off, lengthBytes);
      return true;
    } catch (error) {
      if (error instanceof TlsError) return false;
      throw error;
    }
  }

  #opened(sender: TlsSender, side: Side, protection: RecordProtection): void {
    const { opened, openedBytes, openedType } = protection;
    this.#content(sender, side, openedType, Uint8Array.from(opened.subarray(0, openedBytes)));
  }

  #content(sender: TlsSender, side: Side, type: number, content: Uint8Array): void {
    if (type === ContentType.ApplicationData) {
      if (content.length > 0) this.#tell(sender, 'application data', '', content);
    } else if (type === ContentType.Alert) {
      this.#tell(sender, 'alert', alertName(content[1] ?? 0), content);
    } else if (type === ContentType.Handshake) {
      side.joiner.add(content, 0, content.length);
      for (let message = side.joiner.next(); message !== null; message = side.joiner.next()) {
        this.#tell(sender, 'handshake', handshakeTypeName(message.type), message.raw.slice());
        if (message.type === HandshakeType.ClientHello) this.#clientHello(message);
        else if (message.type === HandshakeType.ServerHello) this.#serverHello(message);
      }
    }
  }

  #clientHello(message: HandshakeMessage): void {
    const body = bodyOf(message, 'client_hello');
    body.u16();
    this.#clientRandom = body.take(32).slice();
  }

  #serverHello(message: HandshakeMessage): void {
    const hello = readServerHello(message);
    const suite = cipherSuiteOf(hello.cipherSuite);
    const version = versionOf(hello.selectedVersion ?? hello.legacyVersion);
    const random = this.#clientRandom;
    if (hello.isHelloRetryRequest || suite === undefined || version === undefined || random === null) return;
    this.#suite = suite;
    this.#isTls13 = version === 'TLSv1.3';
    const { client, server } = this.#sides;
    if (this.#isTls13) {
      client.next.push(...this.#known('CLIENT_HANDSHAKE_TRAFFIC_SECRET', 'CLIENT_TRAFFIC_SECRET_0'));
      server.next.push(...this.#known('SERVER_HANDSHAKE_TRAFFIC_SECRET', 'SERVER_TRAFFIC_SECRET_0'));
      return;
    }
    const master = this.#secrets.of(random, 'CLIENT_RANDOM');
    if (master === null) return;
    const keys = keyBlock(version, suite, master, random, hello.random.slice());
    const encryptThenMac = hello.extensions.has(ExtensionType.EncryptThenMac);
    const parameters: { version: TlsVersion; suite: CipherSuite; encryptThenMac: boolean } = {
      version,
      suite,
      encryptThenMac,
    };
    for (const name of ['client', 'server'] as const) {
      const state = startCipherState(parameters, keys[name]);
      this.#sides[name].pending = recordProtectionOf(parameters, keys[name], state);
    }
  }

  #known(...labels: readonly KeyLogLabel[]): Uint8Array[] {
    const random = this.#clientRandom;
    if (random === null) return [];
    return labels.map((label) => this.#secrets.of(random, label)).filter((secret) => secret !== null);
  }

  /** RFC 8446 §4.2.10: data that the client sends before it knows the suite, under that of the session. */
  #earlySecret(): Uint8Array | null {
    return this.#known('CLIENT_EARLY_TRAFFIC_SECRET')[0] ?? null;
  }

  #protect(side: Side, protection: RecordProtection): void {
    side.protection = protection;
    side.sequence = 0;
  }

  #tell(sender: TlsSender, type: ObservedMessage['type'], name: string, bytes: Uint8Array): void {
    this.#found.push({ sender, type, name, bytes });
  }
}

function newSide(): Side {
  return {
    joiner: new MessageJoiner(),
    rest: new Uint8Array(0),
    protection: null,
    sequence: 0,
    next: [],
    secret: null,
    pending: null,
    isUnreadable: false,
  };
}

function suitesOf(secret: Uint8Array): readonly CipherSuite[] {
  return TLS13_SUITES.filter(({ hashBytes }) => hashBytes === secret.length);
}
