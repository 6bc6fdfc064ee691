import { constants, createPublicKey, encapsulate, type KeyObject, sign } from 'node:crypto';
import { concatBytes, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { generateKeyShare, NamedGroup } from '../keys/groups.ts';
import { finishedVerifyData, KeySchedule, type TrafficSecrets, trafficKeyOf } from '../keys/key-schedule.ts';
import { type CipherSuite, cipherSuiteOf } from '../keys/suites.ts';
import { Transcript } from '../keys/transcript.ts';
import { RECORD_OVERHEAD_BYTES, RecordKey } from '../record/record-key.ts';
import { TRAFFIC_STATE_BYTES, writeTrafficState } from '../traffic/state.ts';
import {
  ContentType,
  ExtensionType,
  HANDSHAKE_HEADER_BYTES,
  HandshakeType,
  ProtocolVersion,
  RECORD_HEADER_BYTES,
} from '../wire/codes.ts';
import { readExtensions } from '../wire/extensions.ts';
import { HELLO_RETRY_REQUEST_RANDOM, handshakeMessage, writeFinished } from '../wire/messages.ts';
import { Reader } from '../wire/reader.ts';
import { Writer } from '../wire/writer.ts';

const ML_KEM_SPKI_PREFIX = hexToBytes('308204b2300b0609608648016503040402038204a100');

/** What of a server's flight a test may change. */
export type FlightPart =
  | 'server_hello'
  | 'encrypted_extensions'
  | 'certificate_request'
  | 'certificate'
  | 'certificate_verify'
  | 'finished';

/** How a {@link ScriptedServer} behaves. */
export interface ServerScript {
  readonly random: RandomSource;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly privateKey: KeyObject;
  /** What signs: scheme number, hash, and whether RSA-PSS. Default ecdsa_secp256r1_sha256. */
  readonly signature?: { readonly scheme: number; readonly hash: string | null; readonly pss: boolean };
  readonly suite?: number;
  readonly group?: NamedGroup;
  /** Resumes the session with this PSK: no certificate. */
  readonly resumes?: Uint8Array;
  /** Sends a CertificateRequest. */
  readonly requestsCertificate?: boolean;
  /** Extensions of EncryptedExtensions: type and content. */
  readonly extensions?: readonly (readonly [number, Uint8Array])[];
  /** Replaces a message; later messages are computed over the replacement. null leaves it out. */
  readonly edit?: (part: FlightPart, message: Uint8Array) => Uint8Array | null;
  /** Content bytes of the records of the flight. Default 16384. */
  readonly fragmentBytes?: number;
}

/**
 * The other side for tests: a TLS 1.3 server, correct unless its script says otherwise. It answers one ClientHello with
 * one flight and then stands ready as a traffic state with the directions exchanged.
 */
export class ScriptedServer {
  readonly #script: ServerScript;
  #suite: CipherSuite;
  #transcript: Transcript | null = null;
  #schedule: KeySchedule | null = null;
  #secrets: TrafficSecrets | null = null;
  #writeKey: RecordKey | null = null;
  #writeSeq = 0;
  #retriedHello: Uint8Array | null = null;
  #retryRequest: Uint8Array = new Uint8Array(0);

  constructor(script: ServerScript) {
    this.#script = script;
    this.#suite = cipherSuiteOf(script.suite ?? 0x1301)!;
  }

  /** A HelloRetryRequest to the given ClientHello (records); answer the second one with {@link answer}. */
  retry(clientHello: Uint8Array, extensions: readonly (readonly [number, Uint8Array])[]): Uint8Array {
    const hello = clientHelloOf(clientHello);
    this.#retriedHello = hello.message;
    this.#retryRequest = serverHello(HELLO_RETRY_REQUEST_RANDOM, hello.sessionId, this.#suite.id, extensions);
    return plainRecords(this.#retryRequest, 16384);
  }

  /** The whole flight that answers a ClientHello (records). */
  answer(clientHello: Uint8Array): Uint8Array {
    const hello = clientHelloOf(clientHello);
    const group = this.#script.group ?? NamedGroup.X25519;
    const share = answerKeyShare(group, hello, this.#script.random);
    const random = new Uint8Array(32);
    this.#script.random.fill(random);
    const message = this.#edited(
      'server_hello',
      serverHello(random, hello.sessionId, this.#suite.id, [
        [ExtensionType.SupportedVersions, u16(ProtocolVersion.Tls13)],
        [ExtensionType.KeyShare, concatBytes(u16(group), u16(share.publicKey.length), share.publicKey)],
        ...(this.#script.resumes === undefined ? [] : [[ExtensionType.PreSharedKey, u16(0)] as const]),
      ]),
    );
    const transcript = new Transcript(this.#suite.hash, this.#retriedHello);
    if (this.#retriedHello !== null) transcript.add(this.#retryRequest);
    transcript.add(hello.message);
    if (message !== null) transcript.add(message);
    const schedule = new KeySchedule(this.#suite, this.#script.resumes);
    const secrets = schedule.handshake(share.secret, transcript.hash());
    const { key, iv } = trafficKeyOf(this.#suite, secrets.server);
    this.#writeKey = new RecordKey(this.#suite, key, iv);
    this.#transcript = transcript;
    this.#schedule = schedule;
    this.#secrets = secrets;
    const fragmentBytes = this.#script.fragmentBytes ?? 16384;
    const plain = message === null ? new Uint8Array(0) : plainRecords(message, fragmentBytes);
    return concatBytes(plain, this.#sealed(concatBytes(...this.#protectedMessages()), fragmentBytes));
  }

  /** One protected record of the handshake phase. */
  record(type: number, content: Uint8Array): Uint8Array {
    const record = new Uint8Array(content.length + RECORD_OVERHEAD_BYTES);
    this.#writeKey!.seal(0, this.#writeSeq++, type, content, 0, content.length, record, 0);
    return record;
  }

  /**
   * After {@link answer}: the traffic state of the server's side.
   *
   * @param clientFlight the messages of the client after ServerHello; default just its Finished
   */
  traffic(clientFlight: readonly Uint8Array[] | null = null): Slab {
    const { client, server, exporter } = this.#schedule!.master(this.#transcript!.hash());
    const flight = clientFlight ?? [
      writeFinished(finishedVerifyData(this.#suite, this.#secrets!.client, this.#transcript!.hash())),
    ];
    for (const message of flight) this.#transcript!.add(message);
    const resumptionSecret = this.#schedule!.resumption(this.#transcript!.hash());
    const state = Slab.alloc(TRAFFIC_STATE_BYTES);
    writeTrafficState(state, 0, {
      suite: this.#suite,
      sendLimitBytes: 16384,
      receiveLimitBytes: 16385,
      clientSecret: server,
      serverSecret: client,
      exporterSecret: exporter,
      resumptionSecret,
    });
    return state;
  }

  #protectedMessages(): Uint8Array[] {
    const messages: Uint8Array[] = [];
    const add = (part: FlightPart, message: Uint8Array): void => {
      const edited = this.#edited(part, message);
      if (edited === null) return;
      this.#transcript!.add(edited);
      messages.push(edited);
    };
    add(
      'encrypted_extensions',
      withExtensions(HandshakeType.EncryptedExtensions, this.#script.extensions ?? []),
    );
    if (this.#script.requestsCertificate === true) {
      const request = new Writer();
      request.u8(0);
      request.vector16(() =>
        writeExtensions(request, [[ExtensionType.SignatureAlgorithms, concatBytes(u16(2), u16(0x0403))]]),
      );
      add('certificate_request', handshakeMessage(HandshakeType.CertificateRequest, request.finish()));
    }
    if (this.#script.resumes === undefined) {
      add('certificate', certificate(this.#script.chain));
      add('certificate_verify', this.#certificateVerify());
    }
    add(
      'finished',
      writeFinished(finishedVerifyData(this.#suite, this.#secrets!.server, this.#transcript!.hash())),
    );
    return messages;
  }

  #certificateVerify(): Uint8Array {
    const { scheme, hash, pss } = this.#script.signature ?? { scheme: 0x0403, hash: 'sha256', pss: false };
    const content = concatBytes(
      utf8ToBytes(`${' '.repeat(64)}TLS 1.3, server CertificateVerify\0`),
      this.#transcript!.hash(),
    );
    const key = this.#script.privateKey;
    const signature = pss
      ? sign(hash, content, {
          key,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        })
      : sign(hash, content, key);
    return handshakeMessage(
      HandshakeType.CertificateVerify,
      concatBytes(u16(scheme), u16(signature.length), signature),
    );
  }

  #edited(part: FlightPart, message: Uint8Array): Uint8Array | null {
    return this.#script.edit === undefined ? message : this.#script.edit(part, message);
  }

  #sealed(content: Uint8Array, fragmentBytes: number): Uint8Array {
    const records: Uint8Array[] = [];
    for (let off = 0; off < content.length; off += fragmentBytes) {
      records.push(this.record(ContentType.Handshake, content.subarray(off, off + fragmentBytes)));
    }
    return concatBytes(...records);
  }
}

/** The server's half of a key exchange; without a share of the client any secret does. */
function answerKeyShare(
  group: NamedGroup,
  hello: ReadHello,
  random: RandomSource,
): { publicKey: Uint8Array; secret: Uint8Array } {
  const clientKey = hello.keyShares.get(group);
  if (group !== NamedGroup.X25519MlKem768) {
    const share = generateKeyShare(group, random);
    return { publicKey: share.publicKey, secret: share.agree(clientKey ?? share.publicKey) };
  }
  const key = createPublicKey({
    key: Buffer.concat([ML_KEM_SPKI_PREFIX, clientKey!.subarray(0, 1184)]),
    format: 'der',
    type: 'spki',
  });
  const { ciphertext, sharedKey } = encapsulate(key);
  const share = generateKeyShare(NamedGroup.X25519, random);
  return {
    publicKey: concatBytes(ciphertext, share.publicKey),
    secret: concatBytes(sharedKey, share.agree(clientKey!.subarray(1184))),
  };
}

/** A ServerHello, or with its random a HelloRetryRequest. */
export function serverHello(
  random: Uint8Array,
  sessionId: Uint8Array,
  suite: number,
  extensions: readonly (readonly [number, Uint8Array])[],
  version: number = ProtocolVersion.Tls12,
): Uint8Array {
  const writer = new Writer();
  writer.u16(version);
  writer.bytes(random);
  writer.vector8(() => writer.bytes(sessionId));
  writer.u16(suite);
  writer.u8(0);
  writer.vector16(() => writeExtensions(writer, extensions));
  return handshakeMessage(HandshakeType.ServerHello, writer.finish());
}

/** A message that is just an extension block. */
export function withExtensions(
  type: number,
  extensions: readonly (readonly [number, Uint8Array])[],
): Uint8Array {
  const writer = new Writer();
  writer.vector16(() => writeExtensions(writer, extensions));
  return handshakeMessage(type, writer.finish());
}

/** A Certificate message of a server, without extensions. */
export function certificate(chain: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer();
  writer.u8(0);
  writer.vector24(() => {
    for (const der of chain) {
      writer.vector24(() => writer.bytes(der));
      writer.u16(0);
    }
  });
  return handshakeMessage(HandshakeType.Certificate, writer.finish());
}

/** Unprotected handshake records. */
export function plainRecords(
  content: Uint8Array,
  fragmentBytes: number,
  version: number = ProtocolVersion.Tls12,
): Uint8Array {
  const records: Uint8Array[] = [];
  for (let off = 0; off < content.length; off += fragmentBytes) {
    records.push(plainRecord(ContentType.Handshake, content.subarray(off, off + fragmentBytes), version));
  }
  return concatBytes(...records);
}

/** One unprotected record. */
export function plainRecord(
  type: number,
  content: Uint8Array,
  version: number = ProtocolVersion.Tls12,
): Uint8Array {
  return concatBytes(Uint8Array.of(type), u16(version), u16(content.length), content);
}

/** Two bytes, big-endian. */
export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}

/** What a test reads of a ClientHello. */
export interface ReadHello {
  readonly message: Uint8Array;
  readonly random: Uint8Array;
  readonly sessionId: Uint8Array;
  readonly version: number;
  readonly cipherSuites: readonly number[];
  readonly compression: Uint8Array;
  readonly extensions: ReadonlyMap<number, Uint8Array>;
  readonly keyShares: ReadonlyMap<number, Uint8Array>;
}

/** Reads the ClientHello of the given records: a change_cipher_spec may stand before it, early data behind it. */
export function clientHelloOf(records: Uint8Array): ReadHello {
  let off = 0;
  while (records[off] !== ContentType.Handshake)
    off += RECORD_HEADER_BYTES + ((records[off + 3]! << 8) | records[off + 4]!);
  const end = off + RECORD_HEADER_BYTES + ((records[off + 3]! << 8) | records[off + 4]!);
  const message = records.slice(off + RECORD_HEADER_BYTES, end);
  const body = new Reader(message, 'client_hello', HANDSHAKE_HEADER_BYTES);
  const version = body.u16();
  const random = body.take(32);
  const sessionId = body.vector8('session id').rest();
  const suites = body.vector16('cipher suites');
  const cipherSuites: number[] = [];
  while (!suites.done) cipherSuites.push(suites.u16());
  const compression = body.vector8('compression').rest();
  const extensions = new Map<number, Uint8Array>();
  for (const [type, content] of readExtensions(body, 'client_hello')) extensions.set(type, content.rest());
  body.finish();
  const keyShares = new Map<number, Uint8Array>();
  const content = extensions.get(ExtensionType.KeyShare) ?? Uint8Array.of(0, 0);
  const shares = new Reader(content, 'key_share').vector16('client_shares');
  while (!shares.done) keyShares.set(shares.u16(), shares.vector16('key_exchange').rest());
  return { message, random, sessionId, version, cipherSuites, compression, extensions, keyShares };
}

/** The extensions of a block, each with its type and length. */
export function writeExtensions(
  writer: Writer,
  extensions: readonly (readonly [number, Uint8Array])[],
): void {
  for (const [type, content] of extensions) {
    writer.u16(type);
    writer.vector16(() => writer.bytes(content));
  }
}
