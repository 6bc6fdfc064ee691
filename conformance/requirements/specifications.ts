import { BBR } from './bbr.ts';
import { RFC1122 } from './rfc1122.ts';
import { RFC1191 } from './rfc1191.ts';
import { RFC1337 } from './rfc1337.ts';
import { RFC2018 } from './rfc2018.ts';
import { RFC2861 } from './rfc2861.ts';
import { RFC2883 } from './rfc2883.ts';
import { RFC3042 } from './rfc3042.ts';
import { RFC3168 } from './rfc3168.ts';
import { RFC4015 } from './rfc4015.ts';
import { RFC4821 } from './rfc4821.ts';
import { RFC5681 } from './rfc5681.ts';
import { RFC5682 } from './rfc5682.ts';
import { RFC5927 } from './rfc5927.ts';
import { RFC5961 } from './rfc5961.ts';
import { RFC6056 } from './rfc6056.ts';
import { RFC6191 } from './rfc6191.ts';
import { RFC6298 } from './rfc6298.ts';
import { RFC6528 } from './rfc6528.ts';
import { RFC6675 } from './rfc6675.ts';
import { RFC6928 } from './rfc6928.ts';
import { RFC7323 } from './rfc7323.ts';
import { RFC7413 } from './rfc7413.ts';
import { RFC7661 } from './rfc7661.ts';
import { RFC8201 } from './rfc8201.ts';
import { RFC8899 } from './rfc8899.ts';
import { RFC8985 } from './rfc8985.ts';
import { RFC9293 } from './rfc9293.ts';
import { RFC9406 } from './rfc9406.ts';
import { RFC9438 } from './rfc9438.ts';
import { RFC9768 } from './rfc9768.ts';
import { RFC9937 } from './rfc9937.ts';
import type { Specification } from './specification.ts';

/** All texts that have a table, in the order of the index. */
export const SPECIFICATIONS: readonly Specification[] = [
  RFC9293,
  RFC1122,
  RFC7323,
  RFC2018,
  RFC2883,
  RFC6675,
  RFC6298,
  RFC8985,
  RFC9768,
  RFC9937,
  RFC5681,
  RFC3042,
  RFC6928,
  RFC2861,
  RFC7661,
  RFC9438,
  RFC9406,
  BBR,
  RFC5682,
  RFC4015,
  RFC3168,
  RFC7413,
  RFC5961,
  RFC6528,
  RFC6056,
  RFC5927,
  RFC4821,
  RFC8899,
  RFC1191,
  RFC8201,
  RFC6191,
  RFC1337,
];
