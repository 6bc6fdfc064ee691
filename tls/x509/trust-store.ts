import { Certificate } from './certificate.ts';
import { DerError, DerReader, equalBytes, Tag } from './der.ts';
import type { DistinguishedName } from './distinguished-name.ts';
import { type PemBlock, readPem } from './pem.ts';

/** A block of a PEM file, or an added certificate, that is not in the store. */
export interface TrustStoreProblem {
  /** Which one, counted from 1 over everything that was given to the store. */
  readonly index: number;
  /** Where the block starts in its text, counted from 1, or 0 for bytes given to `add`. */
  readonly line: number;
  readonly reason: string;
}

/**
 * Certificates that are trusted because the user says so: roots, intermediates or those of single servers, self-signed
 * or not. A path ends at the first of them (RFC 5280 §6.1.1 (d)).
 */
export class TrustStore {
  /** What was given and could not be taken. One broken certificate does not spoil the others. */
  readonly problems: readonly TrustStoreProblem[];
  readonly #problems: TrustStoreProblem[] = [];
  readonly #bySubject = new Map<string, Certificate[]>();
  #size = 0;
  #given = 0;

  constructor() {
    this.problems = this.#problems;
  }

  /** Reads all certificates of a PEM text. Text around the blocks, other kinds of blocks and duplicates are passed over. */
  static fromPem(text: string): TrustStore {
    const store = new TrustStore();
    store.addPem(text);
    return store;
  }

  /** Adds all certificates of a PEM text, like {@link fromPem}. @returns how many were new */
  addPem(text: string): number {
    const before = this.#size;
    for (const block of readPem(text)) {
      if (!CERTIFICATE_LABELS.has(block.label)) continue;
      if (block.problem === '') this.#take(certificateIn(block), block.line);
      else this.#problems.push({ index: ++this.#given, line: block.line, reason: block.problem });
    }
    return this.#size - before;
  }

  /** Adds one certificate. @param der is not copied @returns false when it was malformed (see {@link problems}) */
  add(der: Uint8Array): boolean {
    return this.#take(der, 0);
  }

  /** Number of different certificates. */
  get size(): number {
    return this.#size;
  }

  /** The anchors that bear a name. */
  named(subject: DistinguishedName): readonly Certificate[] {
    return this.#bySubject.get(subject.key) ?? NONE;
  }

  /** Whether this very certificate is in the store. */
  has(certificate: Certificate): boolean {
    return this.named(certificate.subject).some((anchor) => equalBytes(anchor.der, certificate.der));
  }

  #take(der: Uint8Array, line: number): boolean {
    const index = ++this.#given;
    try {
      const certificate = new Certificate(der);
      if (this.has(certificate)) return true;
      const { key } = certificate.subject;
      const anchors = this.#bySubject.get(key);
      if (anchors === undefined) this.#bySubject.set(key, [certificate]);
      else anchors.push(certificate);
      this.#size++;
      return true;
    } catch (error) {
      if (!(error instanceof DerError)) throw error;
      this.#problems.push({ index, line, reason: error.message });
      return false;
    }
  }
}

const NONE: readonly Certificate[] = [];

/** RFC 7468 §5.1, and OpenSSL's two others. */
const CERTIFICATE_LABELS = new Set(['CERTIFICATE', 'X509 CERTIFICATE', 'TRUSTED CERTIFICATE']);

/** OpenSSL's `TRUSTED CERTIFICATE` is a certificate followed by settings of its own. */
function certificateIn(block: PemBlock): Uint8Array {
  if (block.label !== 'TRUSTED CERTIFICATE') return block.bytes;
  try {
    return new DerReader(block.bytes).elementOf(Tag.Sequence);
  } catch {
    return block.bytes;
  }
}
