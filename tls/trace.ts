import { bytesToHex } from '@noble/hashes/utils.js';
import { TlsError } from './errors.ts';
import { HANDSHAKE_HEADER_BYTES, HandshakeType, handshakeTypeName } from './wire/codes.ts';
import { extensionName } from './wire/extensions.ts';
import { Reader } from './wire/reader.ts';

/** One handshake message as a tester sees it; plain data, that JSON takes as it is. */
export interface TracedMessage {
  readonly sender: 'client' | 'server';
  /** As RFC 8446 §4 names it: `client_hello`, `encrypted_extensions`, … */
  readonly type: string;
  /** Header and body. */
  readonly lengthBytes: number;
  /** Header and body. */
  readonly hex: string;
  /** What a ClientHello or ServerHello says; null for other messages, and for one that cannot be read. */
  readonly hello: TracedHello | null;
}

/** The parts of a hello, bytes in hex. */
export interface TracedHello {
  readonly legacyVersion: string;
  readonly random: string;
  readonly sessionId: string;
  /** Of a ServerHello just one. */
  readonly cipherSuites: readonly string[];
  readonly extensions: readonly { readonly type: number; readonly name: string; readonly content: string }[];
}

/** Describes a message that was sent, or came whole. */
export function traceMessage(sender: 'client' | 'server', raw: Uint8Array): TracedMessage {
  const type = raw[0]!;
  const isHello = type === HandshakeType.ClientHello || type === HandshakeType.ServerHello;
  return {
    sender,
    type: handshakeTypeName(type),
    lengthBytes: raw.length,
    hex: bytesToHex(raw),
    hello: isHello ? readHello(raw, type === HandshakeType.ClientHello) : null,
  };
}

function readHello(raw: Uint8Array, isClient: boolean): TracedHello | null {
  try {
    const body = new Reader(raw, 'hello', HANDSHAKE_HEADER_BYTES);
    const legacyVersion = bytesToHex(body.take(2));
    const random = bytesToHex(body.take(32));
    const sessionId = bytesToHex(body.vector8('session id').rest());
    const suites = isClient ? body.vector16('cipher suites') : new Reader(body.take(2), 'cipher suite');
    const cipherSuites: string[] = [];
    while (!suites.done) cipherSuites.push(bytesToHex(suites.take(2)));
    if (isClient) body.vector8('compression methods');
    else body.u8();
    const extensions: { type: number; name: string; content: string }[] = [];
    const block = body.done ? body : body.vector16('extensions');
    while (!block.done) {
      const type = block.u16();
      const content = bytesToHex(block.vector16('extension').rest());
      extensions.push({ type, name: extensionName(type), content });
    }
    return { legacyVersion, random, sessionId, cipherSuites, extensions };
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    return null;
  }
}
