import {
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto';
import { expand, extract } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { sha256 as ownSha256 } from '../keys/hash.ts';
import { expandLabel } from '../keys/key-schedule.ts';
import { ExtensionType, HandshakeType } from '../wire/codes.ts';
import { handshakeMessage } from '../wire/messages.ts';
import { Reader } from '../wire/reader.ts';
import { clientHelloOf, plainRecords, type ReadHello, u16 } from './scripted-server.ts';

const NOTHING = new Uint8Array(0);
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');

/** The other side of Encrypted ClientHello for tests: X25519, HKDF-SHA256, AES-128-GCM. */
export class EchServer {
  /** The ECHConfigList for clients. */
  readonly configList: Uint8Array;
  readonly #config: Uint8Array;
  readonly #privateKey: KeyObject;
  readonly #publicKey: Uint8Array;

  constructor(publicName: string, secret: Uint8Array) {
    const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), secret]);
    this.#privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
    const spki = createPublicKey(this.#privateKey).export({ format: 'der', type: 'spki' });
    this.#publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.length));
    this.#config = echConfig({ publicName, publicKey: this.#publicKey });
    this.configList = echConfigList(this.#config);
  }

  /**
   * Decrypts the hello of these records.
   *
   * @returns the inner hello as records that a ScriptedServer takes, and the bytes behind it in the encoded form
   */
  open(records: Uint8Array): { inner: Uint8Array; hello: ReadHello; paddingBytes: number } {
    const outer = clientHelloOf(records);
    const content = outer.extensions.get(ExtensionType.EncryptedClientHello)!;
    const reader = new Reader(content, 'encrypted_client_hello');
    reader.take(6);
    const enc = reader.vector16('enc').rest();
    const payload = reader.vector16('payload').rest();
    const additional = outer.message.slice(4);
    additional.fill(
      0,
      payload.byteOffset - outer.message.byteOffset - 4,
      payload.byteOffset - outer.message.byteOffset - 4 + payload.length,
    );
    const encoded = this.#decrypt(enc, additional, payload);
    const { message, endOff } = restored(encoded, outer);
    const inner = plainRecords(message, 16384);
    return { inner, hello: clientHelloOf(inner), paddingBytes: encoded.length - endOff };
  }

  #decrypt(enc: Uint8Array, additional: Uint8Array, payload: Uint8Array): Uint8Array {
    const publicKey = createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, enc]),
      format: 'der',
      type: 'spki',
    });
    const dh = diffieHellman({ privateKey: this.#privateKey, publicKey });
    const kem = concatBytes(utf8ToBytes('KEM'), u16(0x20));
    const suite = concatBytes(utf8ToBytes('HPKE'), u16(0x20), u16(1), u16(1));
    const shared = labeledExpand(
      kem,
      labeledExtract(kem, NOTHING, 'eae_prk', dh),
      'shared_secret',
      concatBytes(enc, this.#publicKey),
      32,
    );
    const info = concatBytes(utf8ToBytes('tls ech\0'), this.#config);
    const context = concatBytes(
      Uint8Array.of(0),
      labeledExtract(suite, NOTHING, 'psk_id_hash', NOTHING),
      labeledExtract(suite, NOTHING, 'info_hash', info),
    );
    const secret = labeledExtract(suite, shared, 'secret', NOTHING);
    const key = labeledExpand(suite, secret, 'key', context, 16);
    const nonce = labeledExpand(suite, secret, 'base_nonce', context, 12);
    const decipher = createDecipheriv('aes-128-gcm', key, nonce);
    decipher.setAAD(additional);
    decipher.setAuthTag(payload.subarray(-16));
    const opened = decipher.update(payload.subarray(0, -16));
    decipher.final();
    return opened;
  }
}

/** An ECHConfig; what is left out is usable. */
export function echConfig(over: {
  readonly publicName?: string;
  readonly publicKey?: Uint8Array;
  readonly kem?: number;
  readonly suites?: readonly number[];
  readonly extensions?: Uint8Array;
  readonly version?: number;
}): Uint8Array {
  const { publicName = 'public.test', publicKey = new Uint8Array(32).fill(9), kem = 0x20 } = over;
  const { suites = [1, 1], extensions = NOTHING, version = 0xfe0d } = over;
  const contents = concatBytes(
    Uint8Array.of(7),
    u16(kem),
    u16(publicKey.length),
    publicKey,
    u16(2 * suites.length),
    ...suites.map(u16),
    Uint8Array.of(32, publicName.length),
    utf8ToBytes(publicName),
    u16(extensions.length),
    extensions,
  );
  return concatBytes(u16(version), u16(contents.length), contents);
}

/** A list of them. */
export function echConfigList(...configs: readonly Uint8Array[]): Uint8Array {
  const all = concatBytes(...configs);
  return concatBytes(u16(all.length), all);
}

/** Puts the confirmation into a ServerHello (RFC 9849 §7.2), without a HelloRetryRequest before it. */
export function confirmed(serverHello: Uint8Array, inner: ReadHello): Uint8Array {
  const message = serverHello.slice();
  message.fill(0, 30, 38);
  const secret = extract(sha256, inner.random, new Uint8Array(32));
  const hash = sha256(concatBytes(inner.message, message));
  message.set(expandLabel(ownSha256, secret, 'ech accept confirmation', hash, 8), 30);
  return message;
}

/** RFC 9849 §5.1: puts what stands in the outer hello back into the encoded inner one. */
function restored(encoded: Uint8Array, outer: ReadHello): { message: Uint8Array; endOff: number } {
  const reader = new Reader(encoded, 'encoded client hello');
  const head = reader.take(34);
  if (reader.u8() !== 0) throw new Error('the encoded hello has a session id');
  const suitesAt = reader.offset;
  reader.vector16('suites');
  reader.vector8('compression');
  const middle = encoded.subarray(suitesAt, reader.offset);
  const block = reader.vector16('extensions');
  const parts: Uint8Array[] = [];
  const add = (type: number, content: Uint8Array): void => {
    parts.push(u16(type), u16(content.length), content);
  };
  while (!block.done) {
    const type = block.u16();
    const content = block.vector16('extension');
    if (type !== ExtensionType.EchOuterExtensions) add(type, content.rest());
    else {
      const list = content.vector8('types');
      while (!list.done) {
        const each = list.u16();
        add(each, outer.extensions.get(each)!);
      }
    }
  }
  const extensions = concatBytes(...parts);
  const body = concatBytes(
    head,
    Uint8Array.of(outer.sessionId.length),
    outer.sessionId,
    middle,
    u16(extensions.length),
    extensions,
  );
  return { message: handshakeMessage(HandshakeType.ClientHello, body), endOff: reader.offset };
}

function labeledExtract(suite: Uint8Array, salt: Uint8Array, label: string, input: Uint8Array): Uint8Array {
  return extract(sha256, concatBytes(utf8ToBytes('HPKE-v1'), suite, utf8ToBytes(label), input), salt);
}

function labeledExpand(
  suite: Uint8Array,
  secret: Uint8Array,
  label: string,
  info: Uint8Array,
  lengthBytes: number,
): Uint8Array {
  const labeled = concatBytes(u16(lengthBytes), utf8ToBytes('HPKE-v1'), suite, utf8ToBytes(label), info);
  return expand(sha256, secret, labeled, lengthBytes);
}
