import { concatBytes } from '@noble/hashes/utils.js';
import type { RandomSource } from '../../../stack/random.ts';
import { HPKE_TAG_BYTES, HpkeSender } from '../../keys/hpke.ts';
import type { Transcript } from '../../keys/transcript.ts';
import { ExtensionType, HANDSHAKE_HEADER_BYTES, HandshakeType } from '../../wire/codes.ts';
import { equalBytes, handshakeMessage } from '../../wire/messages.ts';
import {
  type ClientHelloDraft,
  type ClientHelloEdit,
  draftClientHello,
  encodeClientHello,
  type HelloExtension,
  signBinder,
} from '../client-hello.ts';
import { type Offer, pskOf } from '../offer.ts';
import type { EchConfig } from './config.ts';

/** RFC 9849 §5: the type of the extension in each of the two hellos. */
const OUTER = 0;
const INNER = 1;
/** RFC 9849 §6.1.3: what server_name takes beside the name. */
const SERVER_NAME_OVERHEAD_BYTES = 9;
const PADDING_BLOCK_BYTES = 32;
/** RFC 9849 §5.1: what differs between the hellos by its nature. */
const NEVER_OUTER: ReadonlySet<number> = new Set([
  ExtensionType.ServerName,
  ExtensionType.EncryptedClientHello,
  ExtensionType.PreSharedKey,
]);

/** Both hellos of a connection with Encrypted ClientHello (RFC 9849 §6.1). */
export interface EncryptedHello {
  /** What is meant, and its message as the server will restore it. */
  readonly inner: Offer;
  readonly innerMessage: Uint8Array;
  /** What everybody sees, and its message as it is sent. */
  readonly outer: Offer;
  readonly outerMessage: Uint8Array;
}

/** Encrypts the hellos of one connection for one configuration. */
export class EchSender {
  readonly config: EchConfig;
  readonly #hpke: HpkeSender;
  #isFirst = true;

  /** @throws TlsError InvalidKeyShare when the key of the configuration is none */
  constructor(config: EchConfig, random: RandomSource) {
    this.config = config;
    // RFC 9849 §6.1: "tls ech" || 0x00 || ECHConfig
    const info = concatBytes(Buffer.from('tls ech\0'), config.raw);
    this.#hpke = new HpkeSender(config.publicKey, info, config.suite, random);
  }

  /**
   * Writes the first or second hello of the connection.
   *
   * @param before what the inner transcript holds before this hello, null for the first one
   * @param edit what a tester wants to be different in the outer hello, or null
   */
  write(inner: Offer, outer: Offer, before: Transcript | null, edit: ClientHelloEdit | null): EncryptedHello {
    const innerOffer: Offer = { ...inner, encryptedClientHello: Uint8Array.of(INNER) };
    const innerDraft = draftClientHello(innerOffer);
    const compressed = sameExtensions(innerDraft, draftClientHello(outer));
    const innerMessage = handshakeMessage(
      HandshakeType.ClientHello,
      encodeClientHello({ ...innerDraft, extensions: arranged(innerDraft, compressed) }),
    );
    signBinder(innerMessage, innerOffer, before);
    const encoded = this.#encodeInner(innerDraft, compressed, innerMessage, innerOffer);

    // RFC 9849 §5.2: ClientHelloOuterAAD is the outer hello with zeros in the place of the payload
    const payloadBytes = encoded.length + HPKE_TAG_BYTES;
    const placeholder = this.#outerContent(payloadBytes);
    const outerOffer: Offer = { ...outer, encryptedClientHello: placeholder };
    const draft = draftClientHello(outerOffer);
    const body = encodeClientHello(edit === null ? draft : edit(draft));
    const payload = this.#hpke.seal(body, encoded);
    const outerMessage = handshakeMessage(HandshakeType.ClientHello, body);
    const end = HANDSHAKE_HEADER_BYTES + endOfExtension(body);
    outerMessage.set(payload, end - payloadBytes);
    const sent = outerMessage.slice(end - placeholder.length, end);
    this.#isFirst = false;
    return {
      inner: innerOffer,
      innerMessage,
      outer: { ...outerOffer, encryptedClientHello: sent },
      outerMessage,
    };
  }

  /** RFC 9849 §5.1, §6.1.3: EncodedClientHelloInner. */
  #encodeInner(
    draft: ClientHelloDraft,
    compressed: readonly HelloExtension[],
    message: Uint8Array,
    offer: Offer,
  ): Uint8Array {
    const extensions = arranged(draft, compressed).map((extension) =>
      extension.type === ExtensionType.PreSharedKey
        ? { ...extension, content: message.slice(message.length - extension.content.length) }
        : extension,
    );
    const first = extensions.findIndex((each) => compressed.includes(each));
    if (first >= 0) extensions.splice(first, compressed.length, outerExtensions(compressed));
    const encoded = encodeClientHello({ ...draft, sessionId: new Uint8Array(0), extensions });
    const { maxNameBytes } = this.config;
    const nameBytes =
      offer.hostName === null
        ? maxNameBytes + SERVER_NAME_OVERHEAD_BYTES
        : Math.max(0, maxNameBytes - offer.hostName.length);
    const rest = (encoded.length + nameBytes - 1) % PADDING_BLOCK_BYTES;
    return concatBytes(encoded, new Uint8Array(nameBytes + PADDING_BLOCK_BYTES - 1 - rest));
  }

  #outerContent(payloadBytes: number): Uint8Array {
    const { config } = this;
    // RFC 9849 §6.1.5: the key is sent once
    const enc = this.#isFirst ? this.#hpke.enc : new Uint8Array(0);
    return echContent(
      config.suite.kdf,
      config.suite.aead,
      config.configId,
      enc,
      new Uint8Array(payloadBytes),
    );
  }
}

/** RFC 9849 §6.2: an extension that looks like one and encrypts nothing. */
export function greaseContent(random: RandomSource): Uint8Array {
  const bits = random.uint32();
  const enc = new Uint8Array(32);
  random.fill(enc);
  // as long as the hello of a name would be: RFC 9849 §6.2 asks for a plausible length
  const payload = new Uint8Array(128 + PADDING_BLOCK_BYTES * ((bits >>> 8) & 3) + HPKE_TAG_BYTES);
  random.fill(payload);
  return echContent(1, 1, bits & 0xff, enc, payload);
}

function echContent(
  kdf: number,
  aead: number,
  configId: number,
  enc: Uint8Array,
  payload: Uint8Array,
): Uint8Array {
  return concatBytes(
    Uint8Array.of(OUTER, kdf >>> 8, kdf, aead >>> 8, aead, configId, enc.length >>> 8, enc.length),
    enc,
    Uint8Array.of(payload.length >>> 8, payload.length),
    payload,
  );
}

/** What the inner hello can take from the outer one, in the order of that. */
function sameExtensions(inner: ClientHelloDraft, outer: ClientHelloDraft): readonly HelloExtension[] {
  return outer.extensions.flatMap((extension) => {
    if (NEVER_OUTER.has(extension.type)) return [];
    const own = inner.extensions.find(({ type }) => type === extension.type);
    return own !== undefined && equalBytes(own.content, extension.content) ? [own] : [];
  });
}

/** The extensions of the inner hello, so that those it takes from the outer one stand together. */
function arranged(draft: ClientHelloDraft, compressed: readonly HelloExtension[]): HelloExtension[] {
  const own = draft.extensions.filter((each) => !compressed.includes(each));
  const last = own.filter(({ type }) => type === ExtensionType.PreSharedKey);
  return [...own.filter(({ type }) => type !== ExtensionType.PreSharedKey), ...compressed, ...last];
}

function outerExtensions(compressed: readonly HelloExtension[]): HelloExtension {
  const types = compressed.flatMap(({ type }) => [type >>> 8, type & 0xff]);
  return { type: ExtensionType.EchOuterExtensions, content: Uint8Array.of(types.length, ...types) };
}

/** Where the extension of the outer hello ends in the body of the message. */
function endOfExtension(body: Uint8Array): number {
  let at = 2 + 32;
  at += 1 + body[at]!;
  at += 2 + ((body[at]! << 8) | body[at + 1]!);
  at += 1 + body[at]!;
  for (at += 2; at < body.length; ) {
    const type = (body[at]! << 8) | body[at + 1]!;
    at += 4 + ((body[at + 2]! << 8) | body[at + 3]!);
    if (type === ExtensionType.EncryptedClientHello) return at;
  }
  throw new RangeError('the outer ClientHello lost its encrypted_client_hello');
}

/**
 * What everybody sees: the same offer in the name of the configuration, for all versions, without the session.
 *
 * @param seen the offer as it would be without encryption
 */
export function outerOfferOf(inner: Offer, seen: Offer, config: EchConfig, random: RandomSource): Offer {
  const outerRandom = new Uint8Array(32);
  random.fill(outerRandom);
  const psk = pskOf(inner);
  let greasePsk: Offer['greasePsk'] = null;
  if (psk !== null) {
    // RFC 9849 §6.1.2: a PSK that looks like the inner one, so that nobody can tell
    const identity = new Uint8Array(psk.session.ticket.length);
    const binder = new Uint8Array(psk.suite.hashBytes);
    random.fill(identity);
    random.fill(binder);
    greasePsk = { identity, binder, obfuscatedAge: random.uint32() };
  }
  return {
    ...seen,
    random: outerRandom,
    hostName: config.publicName,
    session: null,
    wantsTicket: false,
    greasePsk,
  };
}
