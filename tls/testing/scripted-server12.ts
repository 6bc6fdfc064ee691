import { constants, type KeyObject, sign } from 'node:crypto';
import { concatBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../stack/random.ts';
import { Slab } from '../../stack/wire/slab.ts';
import { generateKeyShare, type KeyShare, NamedGroup } from '../keys/groups.ts';
import { extendedMasterSecret, keyBlock, masterSecret, verifyDataOf } from '../keys/prf.ts';
import { type CipherSuite, cipherSuiteOf } from '../keys/suites.ts';
import { Transcript } from '../keys/transcript.ts';
import { type RecordProtection, recordProtectionOf } from '../record/record-protection.ts';
import { TRAFFIC_STATE_BYTES, writeTrafficState } from '../traffic/state.ts';
import { ContentType, ExtensionType, HANDSHAKE_HEADER_BYTES, HandshakeType } from '../wire/codes.ts';
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
  /** What signs: scheme number, hash, and whether RSA-PSS. Default ecdsa_secp256r1_sha256. */
  readonly signature?: { readonly scheme: number; readonly hash: string | null; readonly pss: boolean };
  /** Default TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256. */
  readonly suite?: number;
  readonly group?: NamedGroup;
  /** Signed and sent in place of the public key of the exchange. */
  readonly forgedPoint?: Uint8Array;
  /** Default true. */
  readonly extendedMasterSecret?: boolean;
  /** Of the ServerHello, besides extended_master_secret. Default renegotiation_info. */
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

/** The other side for tests: a TLS 1.2 server, correct unless its script says otherwise. */
export class ScriptedServer12 {
  readonly #script: ServerScript12;
  readonly #suite: CipherSuite;
  readonly #transcript: Transcript;
  readonly #serverRandom = new Uint8Array(32);
  #hello: ReadHello | null = null;
  #share: KeyShare | null = null;
  #writeKey: RecordProtection | null = null;
  #writeSeq = 0;
  /** The messages of the client's second flight. */
  clientMessages: readonly Uint8Array[] = [];
  master: Uint8Array = new Uint8Array(48);

  constructor(script: ServerScript12) {
    this.#script = script;
    this.#suite = cipherSuiteOf(script.suite ?? 0xc02b)!;
    this.#transcript = new Transcript(this.#suite.hash);
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
      serverHello(this.#serverRandom, script.sessionId ?? new Uint8Array(0), this.#suite.id, [
        ...(isExtended ? [[ExtensionType.ExtendedMasterSecret, new Uint8Array(0)] as const] : []),
        ...(script.extensions ?? [[ExtensionType.RenegotiationInfo, Uint8Array.of(0)] as const]),
      ]),
    );
    if (script.resumes !== undefined) {
      this.master = Uint8Array.from(script.resumes.master);
      return concatBytes(plainRecords(concatBytes(...messages), this.#fragmentBytes), this.#lastFlight());
    }
    add('certificate', writeCertificate12(script.chain));
    this.#share = generateKeyShare(script.group ?? NamedGroup.X25519, script.random);
    add('server_key_exchange', this.#keyExchange(this.#share));
    if (script.requestsCertificate === true) {
      // ecdsa_sign and rsa_sign; ecdsa_secp256r1_sha256 and rsa_pss_rsae_sha256; no authorities
      const body = Uint8Array.of(2, 64, 1, 0, 4, 4, 3, 8, 4, 0, 0);
      add('certificate_request', handshakeMessage(HandshakeType.CertificateRequest, body));
    }
    add('server_hello_done', handshakeMessage(HandshakeType.ServerHelloDone, new Uint8Array(0)));
    return plainRecords(concatBytes(...messages), this.#fragmentBytes);
  }

  /** Takes the client's second flight; the answer is change_cipher_spec and Finished, in records. */
  finish(flight: Uint8Array): Uint8Array {
    const random = this.#hello!.random;
    const { plain, sealed } = splitFlight(flight);
    for (const message of plain) {
      this.#transcript.add(message);
      if (message[0] !== HandshakeType.ClientKeyExchange) continue;
      const premaster = this.#share!.agree(message.slice(HANDSHAKE_HEADER_BYTES + 1));
      this.master =
        (this.#script.extendedMasterSecret ?? true)
          ? extendedMasterSecret(this.#suite, premaster, this.#transcript.hash())
          : masterSecret(this.#suite, premaster, random, this.#serverRandom);
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
    key.seal(0, this.#writeSeq++, type, content, 0, content.length, record, 0);
    return record;
  }

  /** The traffic state of the server's side. */
  traffic(): Slab {
    const keys = this.#keys();
    const state = Slab.alloc(TRAFFIC_STATE_BYTES);
    writeTrafficState(state, 0, {
      suite: this.#suite,
      sendLimitBytes: 16384,
      clientKey: keys.server,
      serverKey: keys.client,
      exporterSecret: this.master,
      randoms: concatBytes(this.#hello!.random, this.#serverRandom),
    });
    return state;
  }

  get #fragmentBytes(): number {
    return this.#script.fragmentBytes ?? 16384;
  }

  #keys(): ReturnType<typeof keyBlock> {
    return keyBlock(this.#suite, this.master, this.#hello!.random, this.#serverRandom);
  }

  #receiveFinished(record: Uint8Array): void {
    const { key, iv } = this.#keys().client;
    const readKey = recordProtectionOf(this.#suite, key, iv);
    readKey.open(0, 0, record, 0, record.length);
    const finished = Uint8Array.from(readKey.opened);
    const expected = writeFinished(verifyDataOf(this.#suite, this.master, 'client', this.#transcript.hash()));
    if (!Buffer.from(expected).equals(finished)) throw new Error('the Finished of the client is wrong');
    this.#transcript.add(finished);
  }

  #lastFlight(): Uint8Array {
    const { key, iv } = this.#keys().server;
    this.#writeKey = recordProtectionOf(this.#suite, key, iv);
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
        plain.push(plainRecords(message, this.#fragmentBytes));
      }
    }
    plain.push(plainRecord(ContentType.ChangeCipherSpec, Uint8Array.of(1)));
    const finished = this.#edited(
      'finished',
      writeFinished(verifyDataOf(this.#suite, this.master, 'server', this.#transcript.hash())),
    );
    if (finished !== null) {
      this.#transcript.add(finished);
      for (let off = 0; off < finished.length; off += this.#fragmentBytes) {
        plain.push(this.record(ContentType.Handshake, finished.subarray(off, off + this.#fragmentBytes)));
      }
    }
    return concatBytes(...plain);
  }

  #keyExchange(share: KeyShare): Uint8Array {
    const { scheme, hash, pss } = this.#script.signature ?? { scheme: 0x0403, hash: 'sha256', pss: false };
    const point = this.#script.forgedPoint ?? share.publicKey;
    const params = concatBytes(Uint8Array.of(3), u16(share.group), Uint8Array.of(point.length), point);
    const content = concatBytes(this.#hello!.random, this.#serverRandom, params);
    const key = this.#script.privateKey;
    const signature = pss
      ? sign(hash, content, {
          key,
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
        })
      : sign(hash, content, key);
    return handshakeMessage(
      HandshakeType.ServerKeyExchange,
      concatBytes(params, u16(scheme), u16(signature.length), signature),
    );
  }

  #edited(part: FlightPart12, message: Uint8Array): Uint8Array | null {
    return this.#script.edit === undefined ? message : this.#script.edit(part, message);
  }
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
