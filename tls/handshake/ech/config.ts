import { type HpkeSuite, isHpkeSuite, KEM_X25519 } from '../../keys/hpke.ts';
import { ExtensionType } from '../../wire/codes.ts';
import { Reader } from '../../wire/reader.ts';

/** RFC 9849 §4: how to encrypt a ClientHello for a server. */
export interface EchConfig {
  /** The whole structure, which the key depends on. */
  readonly raw: Uint8Array;
  readonly configId: number;
  readonly publicKey: Uint8Array;
  readonly suite: HpkeSuite;
  readonly maxNameBytes: number;
  /** What stands in the unencrypted server_name. */
  readonly publicName: string;
}

const X25519_KEY_BYTES = 32;

/**
 * Reads an ECHConfigList and chooses from it: the first that can be used, with the first pair of algorithms that is known.
 *
 * @param what named in errors
 * @returns null when none can be used
 * @throws TlsError when it is no such list
 */
export function readEchConfigList(list: Uint8Array, what = 'ech configurations'): EchConfig | null {
  const reader = new Reader(list, what);
  const configs = reader.vector16(what);
  reader.finish();
  // RFC 9849 §4: ECHConfig ECHConfigList<4..2^16-1>
  let chosen: EchConfig | null = null;
  do {
    const start = configs.offset;
    const version = configs.u16();
    const contents = configs.vector16('ech configuration');
    if (version !== ExtensionType.EncryptedClientHello) continue;
    const config = readConfig(contents, list.subarray(start, configs.offset));
    chosen ??= config;
  } while (!configs.done);
  return chosen;
}

/** @returns null when it cannot be used */
function readConfig(contents: Reader, raw: Uint8Array): EchConfig | null {
  const configId = contents.u8();
  const kem = contents.u16();
  const publicKey = contents.vector16('public key').rest().slice();
  const pairs = contents.vector16('cipher suites');
  const suites: HpkeSuite[] = [];
  do suites.push({ kdf: pairs.u16(), aead: pairs.u16() });
  while (!pairs.done);
  const maxNameBytes = contents.u8();
  const publicName = Buffer.from(contents.vector8('public name').rest()).toString('latin1');
  const extensions = contents.vector16('extensions');
  let isUnderstood = true;
  while (!extensions.done) {
    // RFC 9849 §4.2: the high bit says that who does not know the extension cannot use the configuration
    if (extensions.u16() >= 0x8000) isUnderstood = false;
    extensions.vector16('extension');
  }
  contents.finish();
  const suite = suites.find(isHpkeSuite);
  const isUsable =
    isUnderstood && kem === KEM_X25519 && publicKey.length === X25519_KEY_BYTES && isPublicName(publicName);
  if (suite === undefined || !isUsable) return null;
  return { raw: raw.slice(), configId, publicKey, suite, maxNameBytes, publicName };
}

/** RFC 9849 §4: a host name of LDH labels that nobody could take for an address. */
function isPublicName(name: string): boolean {
  const labels = name.split('.');
  const last = labels.at(-1)!;
  if (/^\d+$/.test(last) || /^0[xX][0-9a-fA-F]*$/.test(last)) return false;
  return labels.every(
    (label) => label.length <= 63 && /^[0-9a-zA-Z]([0-9a-zA-Z-]*[0-9a-zA-Z])?$/.test(label),
  );
}
