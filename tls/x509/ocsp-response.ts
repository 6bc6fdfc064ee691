import { Certificate } from './certificate.ts';
import { contextTag, DerError, DerReader, Tag } from './der.ts';

/** Answers in one response: for a stapled one, one is enough. */
export const MAX_SINGLE_RESPONSES = 64;
/** Certificates in one response: the responder's, and what is sent along needlessly. */
export const MAX_RESPONDER_CERTIFICATES = 8;

/** What a responder says of one certificate. RFC 6960 §4.2.1 */
export interface SingleResponse {
  /** Object identifier of the hash of the two following. */
  readonly hashAlgorithm: string;
  readonly issuerNameHash: Uint8Array;
  readonly issuerKeyHash: Uint8Array;
  /** Contents of the INTEGER. */
  readonly serial: Uint8Array;
  readonly status: 'good' | 'revoked' | 'unknown';
  /** CRLReason of a revocation; 0 when none is given. */
  readonly reason: number;
  /** Unix time in milliseconds. */
  readonly thisUpdate: number;
  /** Likewise; null: the responder has newer information at any time. */
  readonly nextUpdate: number | null;
}

/** A response that is signed: BasicOCSPResponse, RFC 6960 §4.2.1. */
export interface BasicOcspResponse {
  /** Who signed: a Name in DER or the SHA-1 of a key. */
  readonly responder: { readonly name: Uint8Array } | { readonly keyHash: Uint8Array };
  readonly responses: readonly SingleResponse[];
  readonly certificates: readonly Certificate[];
  /** The bytes that are signed. */
  readonly tbs: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Reads an OCSPResponse (RFC 6960 §4.2.1).
 * @returns null for one of the unsigned errors (tryLater and its like), which say nothing of any certificate
 * @throws DerError when it is malformed, or not a response that is understood whole
 */
export function readOcspResponse(der: Uint8Array): BasicOcspResponse | null {
  const outer = new DerReader(der);
  const response = outer.enter(Tag.Sequence);
  outer.finish();
  const status = response.smallInteger(Tag.Enumerated);
  const wrapped = response.enterOptional(contextTag(0, true));
  response.finish();
  // RFC 6960 §4.2.1: 4 is not used
  if (status > 6 || status === 4) throw new DerError(`unknown response status ${status}`);
  if (status !== 0) {
    if (wrapped !== null) throw new DerError('error with a response');
    return null;
  }
  if (wrapped === null) throw new DerError('success without a response');
  const bytes = wrapped.enter(Tag.Sequence);
  wrapped.finish();
  const type = bytes.oid();
  if (type !== BASIC_RESPONSE) throw new DerError(`unknown response type ${type}`);
  const contents = new DerReader(bytes.contents(Tag.OctetString));
  bytes.finish();
  const basic = contents.enter(Tag.Sequence);
  contents.finish();
  return readBasic(basic);
}

const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1';

function readBasic(basic: DerReader): BasicOcspResponse {
  const tbs = basic.elementOf(Tag.Sequence);
  const signatureAlgorithm = basic.elementOf(Tag.Sequence);
  const signature = basic.octetsOfBitString();
  const certificates: Certificate[] = [];
  const wrapped = basic.enterOptional(contextTag(0, true));
  if (wrapped !== null) {
    const list = wrapped.enter(Tag.Sequence);
    wrapped.finish();
    while (!list.atEnd) {
      if (certificates.length === MAX_RESPONDER_CERTIFICATES) {
        throw new DerError(`more than ${MAX_RESPONDER_CERTIFICATES} certificates`);
      }
      certificates.push(new Certificate(list.elementOf(Tag.Sequence)));
    }
  }
  basic.finish();

  const data = new DerReader(tbs).enter(Tag.Sequence);
  const version = data.enterOptional(contextTag(0, true));
  if (version !== null) {
    // v1 is the default and the only one; some responders encode it all the same.
    if (version.smallInteger() !== 0) throw new DerError('unknown version of a response');
    version.finish();
  }
  const responder = readResponder(data);
  data.generalizedTime();
  const list = data.enter(Tag.Sequence);
  const responses: SingleResponse[] = [];
  while (!list.atEnd) {
    if (responses.length === MAX_SINGLE_RESPONSES) {
      throw new DerError(`more than ${MAX_SINGLE_RESPONSES} answers`);
    }
    responses.push(readSingle(list.enter(Tag.Sequence)));
  }
  refuseCritical(data.enterOptional(contextTag(1, true)));
  data.finish();
  return { responder, responses, certificates, tbs, signatureAlgorithm, signature };
}

function readResponder(data: DerReader): BasicOcspResponse['responder'] {
  const byName = data.enterOptional(contextTag(1, true));
  if (byName !== null) {
    const name = byName.elementOf(Tag.Sequence);
    byName.finish();
    return { name };
  }
  const byKey = data.enter(contextTag(2, true));
  const keyHash = byKey.contents(Tag.OctetString);
  byKey.finish();
  return { keyHash };
}

function readSingle(single: DerReader): SingleResponse {
  const id = single.enter(Tag.Sequence);
  const algorithm = id.enter(Tag.Sequence);
  const hashAlgorithm = algorithm.oid();
  if (!algorithm.atEnd && algorithm.contents(Tag.Null).length !== 0) throw new DerError('malformed NULL');
  algorithm.finish();
  const issuerNameHash = id.contents(Tag.OctetString);
  const issuerKeyHash = id.contents(Tag.OctetString);
  const serial = id.integerBytes();
  id.finish();
  const { status, reason } = readStatus(single);
  const thisUpdate = single.generalizedTime();
  const next = single.enterOptional(contextTag(0, true));
  const nextUpdate = next === null ? null : next.generalizedTime();
  next?.finish();
  refuseCritical(single.enterOptional(contextTag(1, true)));
  single.finish();
  return { hashAlgorithm, issuerNameHash, issuerKeyHash, serial, status, reason, thisUpdate, nextUpdate };
}

function readStatus(single: DerReader): Pick<SingleResponse, 'status' | 'reason'> {
  const tag = single.peek();
  switch (tag) {
    case contextTag(0, false):
    case contextTag(2, false):
      if (single.contents(tag).length !== 0) throw new DerError('malformed NULL');
      return { status: tag === contextTag(0, false) ? 'good' : 'unknown', reason: 0 };
    default: {
      const revoked = single.enter(contextTag(1, true));
      revoked.generalizedTime();
      const wrapped = revoked.enterOptional(contextTag(0, true));
      const reason = wrapped === null ? 0 : wrapped.smallInteger(Tag.Enumerated);
      wrapped?.finish();
      revoked.finish();
      return { status: 'revoked', reason };
    }
  }
}

/** RFC 6960 §4.4: extensions are optional to support, unless they are critical. None is processed. */
function refuseCritical(wrapped: DerReader | null): void {
  if (wrapped === null) return;
  const list = wrapped.enter(Tag.Sequence);
  wrapped.finish();
  while (!list.atEnd) {
    const entry = list.enter(Tag.Sequence);
    const oid = entry.oid();
    const critical = entry.peek() === Tag.Boolean ? entry.boolean() : false;
    entry.contents(Tag.OctetString);
    entry.finish();
    if (critical) throw new DerError(`unknown critical extension ${oid}`);
  }
}
