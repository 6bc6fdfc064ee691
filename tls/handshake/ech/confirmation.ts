import { timingSafeEqual } from 'node:crypto';
import { TlsError } from '../../errors.ts';
import { extract, type Hash } from '../../keys/hash.ts';
import { expandLabel } from '../../keys/key-schedule.ts';
import type { Transcript } from '../../keys/transcript.ts';
import { ExtensionType, HANDSHAKE_HEADER_BYTES } from '../../wire/codes.ts';
import type { HandshakeMessage, ServerHello } from '../../wire/messages.ts';

const SIGNAL_BYTES = 8;
/** The last bytes of ServerHello.random. */
const SIGNAL_IN_RANDOM = HANDSHAKE_HEADER_BYTES + 2 + 32 - SIGNAL_BYTES;

/**
 * RFC 9849 §7.2: whether a ServerHello confirms that the server has read the inner hello.
 *
 * @param before the inner hello, and what came before it
 */
export function isConfirmed(
  message: HandshakeMessage,
  hash: Hash,
  innerRandom: Uint8Array,
  before: Transcript,
): boolean {
  return isSignal(message.raw, SIGNAL_IN_RANDOM, 'ech accept confirmation', hash, innerRandom, before);
}

/**
 * RFC 9849 §7.2.1: the same for a HelloRetryRequest.
 *
 * @throws TlsError when its extension is not a signal
 */
export function isRetryConfirmed(
  message: HandshakeMessage,
  request: ServerHello,
  hash: Hash,
  innerRandom: Uint8Array,
  before: Transcript,
): boolean {
  const content = request.extensions.get(ExtensionType.EncryptedClientHello);
  if (content === undefined) return false;
  if (content.remaining !== SIGNAL_BYTES) {
    throw new TlsError('InvalidVector', `${content.remaining} bytes of encrypted_client_hello`);
  }
  return isSignal(message.raw, content.offset, 'hrr ech accept confirmation', hash, innerRandom, before);
}

function isSignal(
  raw: Uint8Array,
  at: number,
  label: string,
  hash: Hash,
  innerRandom: Uint8Array,
  before: Transcript,
): boolean {
  const zeroed = raw.slice();
  zeroed.fill(0, at, at + SIGNAL_BYTES);
  const secret = extract(hash, innerRandom, new Uint8Array(hash.outputLen));
  const expected = expandLabel(hash, secret, label, before.hashWith(zeroed), SIGNAL_BYTES);
  return timingSafeEqual(expected, raw.subarray(at, at + SIGNAL_BYTES));
}
