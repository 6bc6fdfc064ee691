import {
  constants,
  createDiffieHellman,
  type DiffieHellman,
  getDiffieHellman,
  type KeyObject,
  privateDecrypt,
  sign,
} from 'node:crypto';
import { concatBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { generateKeyShare, type KeyShare, NamedGroup } from '../keys/groups.ts';
import {
  extendedMasterSecret,
  keyBlock,
  masterSecret,
  type Prf,
  prfOf,
  type RecordSecrets,
  verifyDataOf,
} from '../keys/prf.ts';
import { type CipherSuite, cipherSuiteOf } from '../keys/suites.ts';
import { Transcript } from '../keys/transcript.ts';
import type { RecordSide } from '../record/handshake-records.ts';
import {
  type RecordParameters,
  type RecordProtection,
  recordProtectionOf,
  startCipherState,
} from '../record/record-protection.ts';
import { TRAFFIC_STATE_BYTES, writeTrafficState } from '../traffic/state.ts';
import {
  ContentType,
  ExtensionType,
  HANDSHAKE_HEADER_BYTES,
  HandshakeType,
  type TlsVersion,
  versionNumber,
} from '../wire/codes.ts';
import { handshakeMessage, writeCertificate12, writeFinished } from '../wire/messages.ts';
import { Writer } from '../wire/writer.ts';
import {
  clientHelloOf,
  plainRecord,
  plainRecords,
  type ReadHello,
  serverHello,
  u16,
} from './scripted-server.ts';

/** What of a server's two flights a test may change. */
export type FlightPart12 =
  | 'server_hello'
  | 'certificate'
  | 'server_key_exchange'
  | 'certificate_request'
  | 'server_hello_done'
  | 'new_session_ticket'
  | 'finished';

/** How a {@link ScriptedServer12} behaves. */
export interface ServerScript12 {
  readonly random: RandomSource;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly privateKey: KeyObject;
  /** Default 'TLSv1.2'. */
  readonly version?: TlsVersion;
  /**
   * What signs: scheme number, hash, and whether RSA-PSS. Default ecdsa_secp256r1_sha256; before TLS 1.2 what the suite
   * implies.
   */
  readonly signature?: { readonly scheme: number; readonly hash: string | null; readonly pss: boolean };
  /** Default TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256. */
  readonly suite?: number;
  readonly group?: NamedGroup;
  /** Of suites with DHE. Default 2048 bits. */
  readonly dh?: { readonly p: Uint8Array; readonly g: Uint8Array; readonly publicValue?: Uint8Array };
  /** Whether RFC 7366 is answered. Default false. */
  readonly encryptThenMac?: boolean;
  /** Signed and sent in place of the public key of the exchange. */
  readonly forgedPoint?: Uint8Array;
  /** Default true. */
  readonly extendedMasterSecret?: boolean;
  /** Whether renegotiation_info is answered. Default true. */
  readonly renegotiationInfo?: boolean;
  /** Of the ServerHello, besides those above. */
  readonly extensions?: readonly (readonly [number, Uint8Array])[];
  /** Of the ServerHello. Default empty. */
  readonly sessionId?: Uint8Array;
  /** Resumes this session, if the client offers one. */
  readonly resumes?: { readonly master: Uint8Array };
  /** A NewSessionTicket: this ticket. */
  readonly ticket?: Uint8Array;
  readonly requestsCertificate?: boolean;
  /** Replaces a message; later messages are computed over the replacement. null leaves it out. */
  readonly edit?: (part: FlightPart12, message: Uint8Array) => Uint8Array | null;
  /** Content bytes of the records of the flights. Default 16384. */
  readonly fragmentBytes?: number;
}

/** The other side for tests: a server of a version before TLS 1.3, correct unless its script says otherwise. */
export class ScriptedServer12 {
  readonly #script: ServerScript12;
  readonly #suite: CipherSuite;
  readonly #parameters: RecordParameters;
  readonly #prf: Prf;
  readonly #transcript: Transcript;
  readonly #serverRandom = new Uint8Array(32);
  #hello: ReadHello | null = null;
  #share: KeyShare | null = null;
  #dh: DiffieHellman | null = null;
  #writeKey: RecordProtection | null = null;
  #writeSeq = 0;
  #readSeq = 0;
  #writeState: Uint8Array = new Uint8Array(0);
  #readState: Uint8Array = new Uint8Array(0);
  /** The messages of the client's second flight. */
  clientMessages: readonly Uint8Array[] = [];
  master: Uint8Array = new Uint8Array(48);
  /** Of both Finished messages, the client's first. */
  readonly verifyData: Uint8Array[] = [];

  constructor(script: ServerScript12) {
    this.#script = script;
    this.#suite = cipherSuiteOf(script.suite ?? 0xc02b)!;
    this.#parameters = {
      version: script.version ?? 'TLSv1.2',
      suite: this.#suite,
      encryptThenMac: script.encryptThenMac ?? false,
    };
    this.#prf = prfOf(this.#parameters.version, this.#suite);
    this.#transcript = new Transcript(this.#prf.hash);
  }

  /** The first flight, in records. */
  answer(clientHello: Uint8Array): Uint8Array {
    const script = this.#script;
    this.#hello = clientHelloOf(clientHello);
    this.#transcript.add(this.#hello.message);
    script.random.fill(this.#serverRandom);
    const messages: Uint8Array[] = [];
    const add = (part: FlightPart12, message: Uint8Array): void => {
      const edited = this.#edited(part, message);
      if (edited === null) return;
      this.#transcript.add(edited);
      messages.push(edited);
    };
    const isExtended = script.extendedMasterSecret ?? true;
    add(
      'server_hello',
      serverHello(
        this.#serverRandom,
        script.sessionId ?? new Uint8Array(0),
        this.#suite.id,
        [
          ...(isExtended ? [[ExtensionType.ExtendedMasterSecret, new Uint8Array(0)] as const] : []),
          ...(script.encryptThenMac === true
            ? [[ExtensionType.EncryptThenMac, new Uint8Array(0)] as const]
            : []),
          ...((script.renegotiationInfo ?? true)
            ? [[ExtensionType.RenegotiationInfo, Uint8Array.of(0)] as const]
            : []),
          ...(script.extensions ?? []),
        ],
        this.#version,
      ),
    );
    if (script.resumes !== undefined) {
      this.master = Uint8Array.from(script.resumes.master);
      return concatBytes(
        plainRecords(concatBytes(...messages), this.#fragmentBytes, this.#version),
        this.#lastFlight(),
      );
    }
    add('certificate', writeCertificate12(script.chain));
    if (this.#suite.keyExchange !== 'rsa') add('server_key_exchange', this.#keyExchange());
    if (script.requestsCertificate === true) {
      // ecdsa_sign and rsa_sign; ecdsa_secp256r1_sha256 and rsa_pss_rsae_sha256; no authorities
      const schemes = this.#isTls12 ? [0, 4, 4, 3, 8, 4] : [];
      const body = Uint8Array.of(2, 64, 1, ...schemes, 0, 0);
      add('certificate_request', handshakeMessage(HandshakeType.CertificateRequest, body));
    }
    add('server_hello_done', handshakeMessage(HandshakeType.ServerHelloDone, new Uint8Array(0)));
    return plainRecords(concatBytes(...messages), this.#fragmentBytes, this.#version);
  }

  /** Takes the client's second flight; the answer is change_cipher_spec and Finished, in records. */
  finish(flight: Uint8Array): Uint8Array {
    const random = this.#hello!.random;
    const { plain, sealed } = splitFlight(flight);
    for (const message of plain) {
      this.#transcript.add(message);
      if (message[0] !== HandshakeType.ClientKeyExchange) continue;
      const premaster = this.#premaster(message);
      this.master =
        (this.#script.extendedMasterSecret ?? true)
          ? extendedMasterSecret(this.#prf, premaster, this.#transcript.hash())
          : masterSecret(this.#prf, premaster, random, this.#serverRandom);
    }
    this.#receiveFinished(sealed);
    this.clientMessages = plain;
    return this.#lastFlight();
  }

  /** In an abbreviated handshake: takes the client's change_cipher_spec and Finished. */
  checkClientFinished(flight: Uint8Array): void {
    this.#receiveFinished(splitFlight(flight).sealed);
  }

  /** One protected record. */
  record(type: number, content: Uint8Array): Uint8Array {
    const key = this.#writeKey!;
    const record = new Uint8Array(content.length + key.overheadBytes);
    return record.slice(0, key.seal(0, this.#writeSeq++, type, content, 0, content.length, record, 0));
  }

  /** The traffic state of the server's side. */
  traffic(): Slab {
    const keys = this.#keys();
    const state = Slab.alloc(TRAFFIC_STATE_BYTES);
    const side = (secrets: RecordSecrets, cipherState: Uint8Array, nextSeq: number): RecordSide => ({
      secrets,
      cipherState,
      nextSeq,
    });
    writeTrafficState(state, 0, {
      ...this.#parameters,
      sendLimitBytes: 16384,
      receiveLimitBytes: 16385,
      writing: side(keys.server, this.#writeState, this.#writeSeq),
      reading: side(keys.client, this.#readState, this.#readSeq),
      exporterSecret: this.master,
      randoms: concatBytes(this.#hello!.random, this.#serverRandom),
    });
    return state;
  }

  get #fragmentBytes(): number {
    return this.#script.fragmentBytes ?? 16384;
  }

  get #version(): number {
    return versionNumber(this.#parameters.version);
  }

  get #isTls12(): boolean {
    return this.#parameters.version === 'TLSv1.2';
  }

  #keys(): ReturnType<typeof keyBlock> {
    return keyBlock(
      this.#parameters.version,
      this.#suite,
      this.master,
      this.#hello!.random,
      this.#serverRandom,
    );
  }

  #receiveFinished(record: Uint8Array): void {
    const secrets = this.#keys().client;
    this.#readState = startCipherState(this.#parameters, secrets);
    const readKey = recordProtectionOf(this.#parameters, secrets, this.#readState);
    readKey.open(0, this.#readSeq++, record, 0, record.length);
    const finished = Uint8Array.from(readKey.opened.subarray(0, readKey.openedBytes));
    const expected = writeFinished(verifyDataOf(this.#prf, this.master, 'client', this.#transcript.hash()));
    if (!Buffer.from(expected).equals(finished)) throw new Error('the Finished of the client is wrong');
    this.verifyData.push(finished.slice(HANDSHAKE_HEADER_BYTES));
    this.#transcript.add(finished);
  }

  #lastFlight(): Uint8Array {
    const secrets = this.#keys().server;
    this.#writeState = startCipherState(this.#parameters, secrets);
    this.#writeKey = recordProtectionOf(this.#parameters, secrets, this.#writeState);
    const plain: Uint8Array[] = [];
    if (this.#script.ticket !== undefined) {
      const writer = new Writer();
      writer.bytes(Uint8Array.of(0, 0, 0x1c, 0x20)); // two hours
      writer.vector16(() => writer.bytes(this.#script.ticket!));
      const message = this.#edited(
        'new_session_ticket',
        handshakeMessage(HandshakeType.NewSessionTicket, writer.finish()),
      );
      if (message !== null) {
        this.#transcript.add(message);
        plain.push(plainRecords(message, this.#fragmentBytes, this.#version));
      }
    }
    plain.push(plainRecord(ContentType.ChangeCipherSpec, Uint8Array.of(1), this.#version));
    const finished = this.#edited(
      'finished',
      writeFinished(verifyDataOf(this.#prf, this.master, 'server', this.#transcript.hash())),
    );
    if (finished !== null) {
      this.verifyData.push(finished.slice(HANDSHAKE_HEADER_BYTES));
      this.#transcript.add(finished);
      for (let off = 0; off < finished.length; off += this.#fragmentBytes) {
        plain.push(this.record(ContentType.Handshake, finished.subarray(off, off + this.#fragmentBytes)));
      }
    }
    return concatBytes(...plain);
  }

  #premaster(message: Uint8Array): Uint8Array {
    const body = message.subarray(HANDSHAKE_HEADER_BYTES);
    switch (this.#suite.keyExchange) {
      case 'rsa':
        return this.#decrypted(body.subarray(2));
      case 'dhe': {
        const shared = this.#dh!.computeSecret(body.subarray(2));
        return Uint8Array.from(shared.subarray(shared.findIndex((byte) => byte !== 0)));
      }
      default:
        return this.#share!.agree(body.slice(1));
    }
  }

  /** RFC 5246 §7.4.7.1; a test wants to know what is wrong. */
  #decrypted(encrypted: Uint8Array): Uint8Array {
    const key = { key: this.#script.privateKey, padding: constants.RSA_NO_PADDING };
    const padded = privateDecrypt(key, encrypted);
    const end = padded.indexOf(0, 2);
    const premaster = Uint8Array.from(padded.subarray(end + 1));
    if (padded[0] !== 0 || padded[1] !== 2 || end < 10 || premaster.length !== 48)
      throw new Error('bad padding');
    if (((premaster[0]! << 8) | premaster[1]!) !== this.#hello!.version) throw new Error('bad version');
    return premaster;
  }

  #keyExchange(): Uint8Array {
    const params = this.#suite.keyExchange === 'dhe' ? this.#dhParams() : this.#curveParams();
    const content = concatBytes(this.#hello!.random, this.#serverRandom, params);
    const { privateKey: key, signature: wanted } = this.#script;
    const hash = key.asymmetricKeyType === 'rsa' ? 'md5-sha1' : 'sha1';
    const implied = this.#isTls12
      ? { scheme: 0x0403, hash: 'sha256', pss: false }
      : { scheme: 0, hash, pss: false };
    const { scheme, hash: signed, pss } = wanted ?? implied;
    const signature = pss
      ? sign(signed, content, {
          key,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        })
      : sign(signed, content, key);
    return handshakeMessage(
      HandshakeType.ServerKeyExchange,
      concatBytes(params, this.#isTls12 ? u16(scheme) : new Uint8Array(0), u16(signature.length), signature),
    );
  }

  #curveParams(): Uint8Array {
    this.#share = generateKeyShare(this.#script.group ?? NamedGroup.X25519, this.#script.random);
    const point = this.#script.forgedPoint ?? this.#share.publicKey;
    return concatBytes(Uint8Array.of(3), u16(this.#share.group), Uint8Array.of(point.length), point);
  }

  #dhParams(): Uint8Array {
    const { p, g, publicValue } = this.#script.dh ?? {
      p: getDiffieHellman('modp14').getPrime(),
      g: Uint8Array.of(2),
    };
    let own = publicValue;
    if (own === undefined) {
      this.#dh = diffieHellmanOf(p, g);
      own = this.#dh.generateKeys();
    }
    return concatBytes(u16(p.length), p, u16(g.length), g, u16(own.length), own);
  }

  #edited(part: FlightPart12, message: Uint8Array): Uint8Array | null {
    return this.#script.edit === undefined ? message : this.#script.edit(part, message);
  }
}

const exchanges = new Map<string, DiffieHellman>();

/** One for each group: to make one takes long, because it looks whether the modulus is prime. */
function diffieHellmanOf(p: Uint8Array, g: Uint8Array): DiffieHellman {
  const name = Buffer.from(p).toString('hex');
  let exchange = exchanges.get(name);
  if (exchange === undefined) {
    exchange = createDiffieHellman(Buffer.from(p), Buffer.from(g));
    exchanges.set(name, exchange);
  }
  return exchange;
}

/** The handshake messages before a change_cipher_spec (one record each), and the record after it. */
function splitFlight(flight: Uint8Array): { plain: Uint8Array[]; sealed: Uint8Array } {
  const plain: Uint8Array[] = [];
  let off = 0;
  for (;;) {
    const length = 5 + ((flight[off + 3]! << 8) | flight[off + 4]!);
    const type = flight[off];
    if (type === ContentType.Handshake) plain.push(flight.slice(off + 5, off + length));
    else if (type !== ContentType.ChangeCipherSpec) throw new Error(`unexpected record of type ${type}`);
    off += length;
    if (type === ContentType.ChangeCipherSpec) return { plain, sealed: flight.slice(off) };
  }
}
