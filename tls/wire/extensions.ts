import { AlertDescription } from '../alerts.ts';
import { TlsError } from '../errors.ts';
import { ExtensionType } from './codes.ts';
import type { Reader } from './reader.ts';

/** Extensions of one message by type; each content is still to be read. */
export type Extensions = ReadonlyMap<number, Reader>;

/**
 * Checks that every extension answers something that was offered.
 *
 * @param message the message, for errors
 * @param allowed types that this message may carry in answer to what was offered
 */
export function checkAnswered(extensions: Extensions, message: string, allowed: ReadonlySet<number>): void {
  for (const type of extensions.keys()) {
    // RFC 8446 §4.2: an extension response without the request is answered with unsupported_extension.
    // differs from RFC 8446 §4.2 (illegal_parameter for an extension that was offered but stands in the wrong message)
    // because BoringSSL and rustls answer that with unsupported_extension too.
    if (!allowed.has(type))
      throw new TlsError('UnsolicitedExtension', `${extensionName(type)} in ${message}`);
  }
}

/** Reads an extension block; `from` stands at its two-byte length. */
export function readExtensions(from: Reader, message: string): Extensions {
  const block = from.vector16(`${message} extensions`);
  const extensions = new Map<number, Reader>();
  while (!block.done) {
    const type = block.u16();
    const content = block.vector16(`${extensionName(type)} in ${message}`);
    // RFC 8446 §4.2: There MUST NOT be more than one extension of the same type in a given extension block.
    if (extensions.has(type)) {
      // no alert is named for it: like BoringSSL, what nobody could have asked for is not even decoded
      const isKnown = Object.values<number>(ExtensionType).includes(type);
      const alert = isKnown ? AlertDescription.IllegalParameter : AlertDescription.DecodeError;
      throw new TlsError('DuplicateExtension', `${extensionName(type)} in ${message}`, alert);
    }
    extensions.set(type, content);
  }
  return extensions;
}

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ExtensionType).map(([name, number]) => [
    number,
    name.replace(/(?<!^)[A-Z]/g, '_$&').toLowerCase(),
  ]),
);

/** The name of an extension as RFC 8446 writes it. */
export function extensionName(type: number): string {
  return NAMES.get(type) ?? `extension ${type}`;
}
