/** One `-----BEGIN …-----` block. */
export interface PemBlock {
  /** `CERTIFICATE`, `PRIVATE KEY` … */
  readonly label: string;
  /** Empty when there is a problem. */
  readonly bytes: Uint8Array;
  /** Line of its first boundary, counted from 1. */
  readonly line: number;
  /** Why the block could not be read, or ''. */
  readonly problem: string;
}

/**
 * Reads the blocks of a PEM text (RFC 7468 §2) and passes over everything between them. A block that does not end, or
 * holds anything but base64, is returned with its problem. Headers inside a block (RFC 1421) are not supported: they
 * mean an encrypted key.
 */
export function readPem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let label = '';
  let start = 0;
  let body: string[] = [];
  const finish = (problem: string): void => {
    const base64 = body.join('').replace(/\s+/g, '');
    const wrong = problem === '' && !BASE64.test(base64) ? 'not base64' : problem;
    const bytes = wrong === '' ? new Uint8Array(Buffer.from(base64, 'base64')) : new Uint8Array(0);
    blocks.push({ label, bytes, line: start, problem: wrong });
    label = '';
    body = [];
  };
  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    const line = raw.trim();
    const begin = BEGIN.exec(line);
    if (begin !== null) {
      if (label !== '') finish('no END line before the next block');
      label = begin[1]!;
      start = index + 1;
    } else if (label === '') {
      // Text between blocks.
    } else if (END.test(line))
      finish(line === `-----END ${label}-----` ? '' : `ends as "${line.slice(0, 64)}"`);
    else body.push(line);
  }
  if (label !== '') finish('no END line');
  return blocks;
}

const BEGIN = /^-----BEGIN ([A-Z0-9 ]+)-----$/;
const END = /^-----END [A-Z0-9 ]+-----$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)$/;
