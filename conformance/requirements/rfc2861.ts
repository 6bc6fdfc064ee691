import { type Specification, specification } from './specification.ts';

/** Congestion window validation (historic) */
export const RFC2861: Specification = specification(
  'RFC 2861',
  'Congestion window validation (historic)',
  `
§3-1 RULE after an idle timeout cwnd is halved per timeout, the restart window at least
§3-2 RULE … and ssthresh keeps 3/4 of it
§3-3 RULE a cwnd that was not used does not grow
`,
);
