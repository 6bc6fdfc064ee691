import { utf8ToBytes } from '@noble/hashes/utils.js';
import { expand, extract, type Hash, hmac } from './hash.ts';
import { type CipherSuite, IV_BYTES } from './suites.ts';

const NO_CONTEXT = new Uint8Array(0);

/** perf: where an HkdfLabel is written; memory of more than 64 bytes takes longer to come by than the HMAC over it. */
const LABEL = new Uint8Array(2 + 1 + 255 + 1 + 255 + 1);

/** RFC 8446 §7.1: HKDF-Expand-Label. */
export function expandLabel(
  hash: Hash,
  secret: Uint8Array,
  label: string,
  context: Uint8Array,
  lengthBytes: number,
): Uint8Array {
  const name = labelBytes(label);
  const infoBytes = 2 + 1 + name.length + 1 + context.length;
  LABEL[0] = lengthBytes >>> 8;
  LABEL[1] = lengthBytes;
  LABEL[2] = name.length;
  LABEL.set(name, 3);
  LABEL[3 + name.length] = context.length;
  LABEL.set(context, 4 + name.length);
  if (lengthBytes > hash.outputLen) return expand(hash, secret, LABEL.subarray(0, infoBytes), lengthBytes);
  // RFC 5869 §2.3: T(1) = HMAC(PRK, info | 1)
  LABEL[infoBytes] = 1;
  const block = hmac(hash, secret, LABEL.subarray(0, infoBytes + 1));
  if (lengthBytes === hash.outputLen) return block;
  const first = block.slice(0, lengthBytes);
  block.fill(0);
  return first;
}

/** Few are used, and always the same; more than these, which callers of exporters choose, are not kept. */
const labels = new Map<string, Uint8Array>();
const MAX_LABELS = 64;

function labelBytes(label: string): Uint8Array {
  let bytes = labels.get(label);
  if (bytes !== undefined) return bytes;
  bytes = utf8ToBytes(`tls13 ${label}`);
  if (labels.size < MAX_LABELS) labels.set(label, bytes);
  return bytes;
}

const emptyHashes = new Map<Hash, Uint8Array>();

/** Of an empty transcript: no secret, and always the same. */
function hashOfNothing(hash: Hash): Uint8Array {
  let digest = emptyHashes.get(hash);
  if (digest === undefined) {
    digest = hash(NO_CONTEXT);
    emptyHashes.set(hash, digest);
  }
  return digest;
}

/** Key and IV of one direction (RFC 8446 §7.3). */
export interface TrafficKey {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
}

/** RFC 8446 §7.3: the record key of a traffic secret. */
export function trafficKeyOf(suite: CipherSuite, secret: Uint8Array): TrafficKey {
  return {
    key: expandLabel(suite.hash, secret, 'key', NO_CONTEXT, suite.keyBytes),
    iv: expandLabel(suite.hash, secret, 'iv', NO_CONTEXT, IV_BYTES),
  };
}

/** RFC 8446 §7.2: the traffic secret after a key update. */
export function nextTrafficSecret(suite: CipherSuite, secret: Uint8Array): Uint8Array {
  return expandLabel(suite.hash, secret, 'traffic upd', NO_CONTEXT, suite.hashBytes);
}

/** RFC 8446 §4.4.4: the content of a Finished message. */
export function finishedVerifyData(
  suite: CipherSuite,
  baseSecret: Uint8Array,
  transcriptHash: Uint8Array,
): Uint8Array {
  const finishedKey = expandLabel(suite.hash, baseSecret, 'finished', NO_CONTEXT, suite.hashBytes);
  const verifyData = hmac(suite.hash, finishedKey, transcriptHash);
  finishedKey.fill(0);
  return verifyData;
}

/** RFC 8446 §4.6.1: the PSK of a ticket. */
export function ticketPsk(suite: CipherSuite, resumptionSecret: Uint8Array, nonce: Uint8Array): Uint8Array {
  return expandLabel(suite.hash, resumptionSecret, 'resumption', nonce, suite.hashBytes);
}

/** Secrets of one stage, client's and server's. */
export interface TrafficSecrets {
  readonly client: Uint8Array;
  readonly server: Uint8Array;
}

/**
 * RFC 8446 §7.1: the key schedule. It is advanced by {@link handshake} and {@link master}; every secret is wiped when
 * the next one is derived from it.
 */
export class KeySchedule {
  readonly suite: CipherSuite;
  #secret: Uint8Array;

  /**
   * Starts at the Early Secret.
   *
   * @param psk of the session that is resumed, or null
   */
  constructor(suite: CipherSuite, psk: Uint8Array | null = null) {
    this.suite = suite;
    const zeros = new Uint8Array(suite.hashBytes);
    this.#secret = extract(suite.hash, psk ?? zeros, zeros);
  }

  /**
   * Before {@link handshake}: RFC 8446 §4.2.11.2, the binder of a resumption PSK.
   *
   * @param transcriptHash up to the binders of the ClientHello
   */
  binder(transcriptHash: Uint8Array): Uint8Array {
    const key = this.#derive('res binder', hashOfNothing(this.suite.hash));
    const binder = finishedVerifyData(this.suite, key, transcriptHash);
    key.fill(0);
    return binder;
  }

  /**
   * Secrets for data before the server's answer (RFC 8446 §7.1).
   *
   * @param helloHash over the ClientHello
   */
  early(helloHash: Uint8Array): { readonly client: Uint8Array; readonly exporter: Uint8Array } {
    return {
      client: this.#derive('c e traffic', helloHash),
      exporter: this.#derive('e exp master', helloHash),
    };
  }

  /**
   * Advances to the Handshake Secret.
   *
   * @param sharedSecret (EC)DHE result; wiped
   * @param transcriptHash over ClientHello … ServerHello
   */
  handshake(sharedSecret: Uint8Array, transcriptHash: Uint8Array): TrafficSecrets {
    this.#advance(sharedSecret);
    sharedSecret.fill(0);
    return {
      client: this.#derive('c hs traffic', transcriptHash),
      server: this.#derive('s hs traffic', transcriptHash),
    };
  }

  /**
   * Advances to the Master Secret.
   *
   * @param transcriptHash over ClientHello … server Finished
   */
  master(transcriptHash: Uint8Array): TrafficSecrets & { readonly exporter: Uint8Array } {
    this.#advance(new Uint8Array(this.suite.hashBytes));
    return {
      client: this.#derive('c ap traffic', transcriptHash),
      server: this.#derive('s ap traffic', transcriptHash),
      exporter: this.#derive('exp master', transcriptHash),
    };
  }

  /**
   * The resumption secret, last of all; wipes the Master Secret.
   *
   * @param transcriptHash over ClientHello … client Finished
   */
  resumption(transcriptHash: Uint8Array): Uint8Array {
    const secret = this.#derive('res master', transcriptHash);
    this.wipe();
    return secret;
  }

  /** Nothing more is derived. */
  wipe(): void {
    this.#secret.fill(0);
  }

  #advance(input: Uint8Array): void {
    const salt = this.#derive('derived', hashOfNothing(this.suite.hash));
    const next = extract(this.suite.hash, input, salt);
    salt.fill(0);
    this.#secret.fill(0);
    this.#secret = next;
  }

  #derive(label: string, transcriptHash: Uint8Array): Uint8Array {
    return expandLabel(this.suite.hash, this.#secret, label, transcriptHash, this.suite.hashBytes);
  }
}
