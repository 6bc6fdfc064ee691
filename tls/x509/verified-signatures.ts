import { createHash } from 'node:crypto';
import type { Certificate } from './certificate.ts';

/** What is remembered at most; authorities that servers are certified by are fewer. */
const MOST_REMEMBERED = 256;

/**
 * The certificates of authorities whose signatures were found right. They come again with the certificate of every server below them, and
 * a signature that was right stays so: everything else about them is looked at each time.
 */
export class VerifiedSignatures {
  /** In the order of last use. */
  readonly #known = new Set<string>();

  /**
   * @param verify looks at the signature itself; called when this certificate was not found to be signed with this issuer's key before
   */
  check(child: Certificate, issuer: Certificate, verify: () => boolean): boolean {
    // those of servers come again in whole chains, which are remembered as such
    if (!child.isCa) return verify();
    const name = digest(child, issuer);
    const isKnown = this.#known.delete(name);
    if (!isKnown && !verify()) return false;
    this.#known.add(name);
    if (this.#known.size > MOST_REMEMBERED) {
      for (const oldest of this.#known) {
        this.#known.delete(oldest);
        break;
      }
    }
    return true;
  }
}

/** Of all that is signed and of how, of the signature, and of the key. */
function digest(child: Certificate, issuer: Certificate): string {
  const hash = createHash('sha256');
  // told apart by their lengths: no two pairs hash the same bytes
  hash.update(`${child.der.length},`).update(child.der).update(issuer.spki);
  return hash.digest('base64');
}
