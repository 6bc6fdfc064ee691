/** What the resolver has done, asked and ignored. */
export class ResolverCounters {
  lookups = 0;
  /** Answered from the hosts file. */
  fromHosts = 0;
  /** Questions answered from the cache, and those answered from it with "does not exist". */
  fromCache = 0;
  fromNegativeCache = 0;
  /** Questions that joined an equal one already under way. */
  coalesced = 0;
  udpQueries = 0;
  tcpQueries = 0;
  tlsQueries = 0;
  /** TLS failed at a server that may be asked without. */
  tlsRefused = 0;
  /** Replies that passed all checks. */
  replies = 0;
  /** Tries that ended without a reply. */
  timeouts = 0;
  /** ICMP errors and local errors (no route, no port) instead of a reply. */
  unreachable = 0;
  /** Replies with the TC bit: asked again over TCP. */
  truncated = 0;
  /** Replies FORMERR, NOTIMP or BADVERS to a query with EDNS: asked again without. */
  ednsRefused = 0;
  /** Replies SERVFAIL, REFUSED and the like. */
  failed = 0;
  /** Ignored: too short, no reply, or another id. (What is not from the asked server and port does not get here: see UDP.) */
  ignoredId = 0;
  /** Ignored: the cookie in it is not ours (RFC 7873). */
  ignoredCookie = 0;
  /** No cookie from a server that had given one: asked again over TCP. */
  cookiesMissing = 0;
  /** The server wants another cookie: asked again with it. */
  badCookies = 0;
  /** Ignored: another question. */
  ignoredQuestion = 0;
  /** The question came back in other letter case: asked again over TCP. */
  otherCase = 0;
  /** Ignored: more records than the limit, or not readable. */
  malformed = 0;
  /** Answer records that do not belong to the question or its CNAME chain. */
  recordsIgnored = 0;
  /** CNAME chains that are loops or longer than the limit. */
  chainsRefused = 0;
  /** Addresses over the limit per name, and unusable ones. */
  addressesIgnored = 0;
  /** Answers that were too old, given because no server answered (RFC 8767). */
  fromStale = 0;
  /** Cache entries given up because the cache was full. */
  cacheEvicted = 0;
}
