import { hash, pbkdf2Sync } from 'node:crypto';
import type Forge from 'node-forge';

/** A hash of forge, as far as it says which one it is. */
interface ForgeHash {
  readonly algorithm: string;
  readonly digestLength: number;
  readonly blockLength: number;
}

type DeriveKey = (...how: Parameters<typeof derived>) => Forge.util.ByteStringBuffer;

const SHA1: ForgeHash = { algorithm: 'sha1', digestLength: 20, blockLength: 64 };

/**
 * Has forge derive keys from passwords with OpenSSL's hashes: files of today ask for hundreds of thousands of rounds, which take its own
 * ones seconds.
 */
export function deriveWithOpenSsl(forge: typeof Forge): void {
  const { createBuffer } = forge.util;
  const pkcs12Key: DeriveKey = (...how) => createBuffer(derived(...how).toString('latin1'));
  Object.assign(forge.pkcs5, { pbkdf2 });
  Object.assign(forge.pkcs12, { generateKey: pkcs12Key });
  // its types do not tell of this one
  const { pbe } = forge.pki as unknown as { readonly pbe: object };
  Object.assign(pbe, { generatePkcs12Key: pkcs12Key });
}

/** RFC 8018 §5.2. Strings have a byte in each character. */
function pbkdf2(
  password: string,
  salt: string,
  rounds: number,
  lengthBytes: number,
  digest: ForgeHash = SHA1,
): string {
  const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
  return pbkdf2Sync(bytes(password), bytes(salt), rounds, lengthBytes, digest.algorithm).toString('latin1');
}

/** RFC 7292 appendix B.2, whose names these are. @param password null: none, which is not the same as an empty one */
function derived(
  password: string | null | undefined,
  salt: Forge.util.ByteStringBuffer,
  id: number,
  rounds: number,
  lengthBytes: number,
  digest: ForgeHash = SHA1,
): Buffer {
  // with none nothing would be hashed, and the key not depend on the password
  if (!(rounds >= 1)) throw new RangeError(`${rounds} rounds`);
  const { algorithm, blockLength: v } = digest;
  const blocks = Buffer.concat([
    repeated(Buffer.from(salt.bytes(), 'latin1'), v),
    repeated(Buffer.from(`${password ?? ''}${password == null ? '' : '\0'}`, 'utf16le').swap16(), v),
  ]);
  const diversifier = Buffer.alloc(v, id);
  let key = Buffer.alloc(0);
  while (key.length < lengthBytes) {
    let a = hash(algorithm, Buffer.concat([diversifier, blocks]), 'buffer');
    for (let round = 1; round < rounds; round++) a = hash(algorithm, a, 'buffer');
    key = Buffer.concat([key, a]);
    addToEach(blocks, Buffer.alloc(v, a), v);
  }
  return key.subarray(0, lengthBytes);
}

/** Copies until a number of whole blocks is full. */
function repeated(bytes: Buffer, blockLength: number): Buffer {
  return bytes.length === 0
    ? bytes
    : Buffer.alloc(Math.ceil(bytes.length / blockLength) * blockLength, bytes);
}

/** Each block, a number with the highest byte first, becomes itself + addend + 1. */
function addToEach(blocks: Buffer, addend: Buffer, blockLength: number): void {
  for (let start = 0; start < blocks.length; start += blockLength) {
    let carry = 1;
    for (let i = blockLength - 1; i >= 0; i--) {
      carry += blocks[start + i]! + addend[i]!;
      blocks[start + i] = carry;
      carry >>= 8;
    }
  }
}
