import type { Certificate } from './certificate.ts';
import { printable } from './distinguished-name.ts';
import type { NameConstraints } from './extensions.ts';
import { type GeneralName, NameForm } from './general-name.ts';
import { isDnsName } from './server-name.ts';

/** Comparisons left for one validation; a certificate can hold thousands of names, its issuer thousands of constraints. */
export interface ComparisonBudget {
  comparisons: number;
}

/**
 * Checks the names of a certificate against the constraints of one of its issuers (RFC 5280 §4.2.1.10, §6.1.4 (b)–(c)).
 * Doing so for every issuer of the path is the same as intersecting and uniting the subtrees of all of them.
 * @returns '' when all names are allowed, else what is wrong
 */
export function checkNameConstraints(
  certificate: Certificate,
  constraints: NameConstraints,
  budget: ComparisonBudget,
): string {
  const { subject } = certificate;
  const names = certificate.extensions.subjectAltName ?? [];
  for (const name of names) {
    const problem = checkName(name, constraints, budget);
    if (problem !== '') return problem;
  }
  if (!subject.isEmpty) {
    const problem = checkName({ form: NameForm.Directory, name: subject }, constraints, budget);
    if (problem !== '') return problem;
  }
  // RFC 5280 §4.2.1.10: e-mail addresses in the subject count where subjectAltName has none.
  if (subject.emails.length > 0 && !names.some((name) => name.form === NameForm.Email)) {
    for (const text of subject.emails) {
      const problem = checkName({ form: NameForm.Email, text }, constraints, budget);
      if (problem !== '') return problem;
    }
  }
  return '';
}

/** Names that a match function cannot decide about, or malformed constraints. */
const MALFORMED = -1;
const OUTSIDE = 0;
const INSIDE = 1;

function checkName(name: GeneralName, constraints: NameConstraints, budget: ComparisonBudget): string {
  for (const base of constraints.excluded) {
    if (base.form !== name.form) continue;
    if (--budget.comparisons < 0) return EXHAUSTED;
    const match = compare(name, base, true);
    if (match === MALFORMED)
      return `${describe(name)} cannot be compared with the constraint ${describe(base)}`;
    if (match === INSIDE) return `${describe(name)} is in the excluded ${describe(base)}`;
  }
  let constrained = false;
  for (const base of constraints.permitted) {
    if (base.form !== name.form) continue;
    if (--budget.comparisons < 0) return EXHAUSTED;
    const match = compare(name, base, false);
    if (match === MALFORMED)
      return `${describe(name)} cannot be compared with the constraint ${describe(base)}`;
    if (match === INSIDE) return '';
    constrained = true;
  }
  return constrained ? `${describe(name)} is in none of the permitted subtrees` : '';
}

const EXHAUSTED = 'there are too many names and constraints to compare';

function compare(name: GeneralName, base: GeneralName, excluding: boolean): number {
  switch (name.form) {
    case NameForm.Dns:
      return base.form === NameForm.Dns ? compareDns(name.text, base.text, excluding) : MALFORMED;
    case NameForm.Ip:
      return base.form === NameForm.Ip ? compareIp(name.octets, base.octets) : MALFORMED;
    case NameForm.Email:
      return base.form === NameForm.Email ? compareEmail(name.text, base.text) : MALFORMED;
    case NameForm.Uri:
      return base.form === NameForm.Uri ? compareUri(name.text, base.text) : MALFORMED;
    case NameForm.Directory:
      if (base.form !== NameForm.Directory) return MALFORMED;
      return name.name.isWithin(base.name) ? INSIDE : OUTSIDE;
    // RFC 5280 §4.2.1.10: a form that is constrained and cannot be processed refuses the certificate.
    default:
      return MALFORMED;
  }
}

/** RFC 5280: a name that is the constraint, or has labels added on the left. An empty constraint holds all names. */
function compareDns(name: string, constraint: string, excluding: boolean): number {
  const base = constraint.toLowerCase();
  const wildcard = name.startsWith('*.');
  const host = (wildcard ? name.slice(2) : name).toLowerCase();
  if (!isDnsName(host)) return MALFORMED;
  if (base === '') return INSIDE;
  if (!isDnsName(base)) return MALFORMED;
  if (host === base || host.endsWith(`.${base}`)) return INSIDE;
  // A wildcard covers names of which one may be excluded: `*.example.com` for an excluded `a.example.com`.
  if (excluding && wildcard && base.endsWith(`.${host}`)) {
    return base.indexOf('.') === base.length - host.length - 1 ? INSIDE : OUTSIDE;
  }
  return OUTSIDE;
}

/** RFC 5280: an address and a mask, as in CIDR. */
function compareIp(address: Uint8Array, constraint: Uint8Array): number {
  const { length } = address;
  if (length !== 4 && length !== 16) return MALFORMED;
  if (constraint.length !== 8 && constraint.length !== 32) return MALFORMED;
  // RFC 4632 §3.1: ones, then zeros.
  const half = constraint.length / 2;
  let zeros = false;
  for (let i = half; i < constraint.length; i++) {
    const octet = constraint[i]!;
    const inverse = ~octet & 0xff;
    if ((inverse & (inverse + 1)) !== 0 || (zeros && octet !== 0)) return MALFORMED;
    zeros ||= octet !== 0xff;
  }
  if (half !== length) return OUTSIDE;
  for (let i = 0; i < length; i++) {
    if (((address[i]! ^ constraint[i]!) & constraint[half + i]!) !== 0) return OUTSIDE;
  }
  return INSIDE;
}

/** RFC 5280: a mailbox, all mailboxes of a host, or with a leading dot of all hosts of a domain. */
function compareEmail(address: string, constraint: string): number {
  const at = address.lastIndexOf('@');
  if (at < 1) return MALFORMED;
  const host = address.slice(at + 1).toLowerCase();
  if (!isDnsName(host)) return MALFORMED;
  const split = constraint.lastIndexOf('@');
  if (split >= 0) {
    // RFC 5280 §7.5: the local part is compared exactly, the host without regard to case.
    const same = address.slice(0, at) === constraint.slice(0, split);
    return same && host === constraint.slice(split + 1).toLowerCase() ? INSIDE : OUTSIDE;
  }
  return compareHost(host, constraint.toLowerCase());
}

/** RFC 5280: applies to the host part; a URI without a host name there is refused. */
function compareUri(uri: string, constraint: string): number {
  const authority = /^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/([^/?#]*)/.exec(uri)?.[1];
  if (authority === undefined) return MALFORMED;
  const host = authority
    .slice(authority.lastIndexOf('@') + 1)
    .replace(/:\d*$/, '')
    .toLowerCase();
  if (!isDnsName(host) || /(^|\.)\d+$/.test(host)) return MALFORMED;
  return compareHost(host, constraint.toLowerCase());
}

function compareHost(host: string, base: string): number {
  if (base === '') return INSIDE;
  if (!isDnsName(base.startsWith('.') ? base.slice(1) : base)) return MALFORMED;
  return (base.startsWith('.') ? host.endsWith(base) : host === base) ? INSIDE : OUTSIDE;
}

const FORM_NAMES = [
  'otherName',
  'e-mail',
  'DNS name',
  'X.400',
  'directory name',
  'EDI',
  'URI',
  'IP',
  'registeredID',
];

function describe(name: GeneralName): string {
  const form = FORM_NAMES[name.form]!;
  switch (name.form) {
    case NameForm.Dns:
    case NameForm.Email:
    case NameForm.Uri:
      return `${form} "${printable(name.text)}"`;
    case NameForm.Directory:
      return `${form} "${name.name.toString()}"`;
    case NameForm.Ip:
      return `${form} ${[...name.octets.subarray(0, 32)].join('.')}`;
    default:
      return form;
  }
}
