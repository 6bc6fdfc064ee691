/** A requirement of RFC 9293, appendix B, in words of our own. */
export interface Requirement {
  readonly id: string;
  readonly text: string;
  /** What it is about is no part of a host on a TUN device; not counted. */
  readonly outside?: string;
}

const SOURCE_ROUTES = 'source routes are not offered: the option is filtered everywhere (RFC 7126 §4.3)';
const IP_OPTIONS = 'options of IP that record the way are not offered (RFC 7126 §4)';

const MUST: readonly string[] = [
  'a window is an unsigned number',
  'what is sent has a checksum',
  'what arrives has its checksum verified',
  'the options end, no-operation and MSS are known',
  'options are taken on any segment',
  'an unknown option is passed over by its length',
  'an impossible option length does no harm',
  'initial sequence numbers follow a clock',
  'the secret of initial sequence numbers cannot be found out from outside',
  'both sides may open at the same time',
  'SYN-RECEIVED knows whether the open was active or passive',
  'the application can tell a close from an abort',
  'who closes first waits for two MSL',
  'the MSS option is sent and honoured',
  'without an MSS option: 536 octets (IPv4), 1220 (IPv6)',
  'the size of segments is the least of all limits',
  "the application can switch Nagle's algorithm off",
  'the RTO is computed by RFC 6298, without samples of retransmissions',
  'slow start, congestion avoidance, and a doubled RTO',
  'retransmissions pass the thresholds R1 and R2, and R2 ends the connection',
  'the application can set R2',
  'SYN segments are repeated in the same way',
  '… for three minutes at least',
  'keep-alives can be switched for each connection',
  '… and are off by default',
  '… and are sent on an idle connection only',
  'their interval can be chosen',
  '… and is two hours or more by default',
  'one keep-alive without an answer does not end the connection',
  'urgent data is known',
  '… of any length',
  'the application hears of urgent data',
  '… and how much of it is left',
  'a window that shrinks does no harm',
  '… and is probed when it is zero',
  'zero windows are probed',
  'a connection stays while its probes are answered',
  'the sender avoids silly windows',
  'the receiver avoids silly windows',
  'a delayed ACK waits for less than half a second',
  'a passive open touches no other connection',
  'a port can listen while connections from it are being opened',
  'an open may name its local address',
  '… or has it from IP',
  '… and keeps it for the life of the connection',
  'no open to broadcast and multicast addresses',
  'soft errors are told to the application',
  'the application can set the DiffServ field',
  'the TTL can be chosen',
  'unknown IP options are ignored',
  'the application can give a source route',
  '… which goes before a received one',
  'a passive open keeps the way back',
  'an ICMP error goes to the connection that it is about',
  'Source Quench is dropped',
  'soft ICMP errors end no connection',
  'a SYN to a broadcast or multicast address is dropped',
  'ACKs are put together where that is possible',
  'all that waits is worked off before an ACK is sent',
  'without PUSH calls nothing waits for ever',
  '… and the last segment that is queued has PSH',
  'the urgent pointer points behind the urgent data',
  'a SYN from what is no host is dropped',
  'options lie at any octet',
  'the MSS option is on SYN segments only',
  'a zero window lets RST and URG pass',
  'the MSS offered is within what can be put together again',
  'every option but the two of one octet has a length',
  'what follows the end of the options is zero',
];

const SHLD: readonly string[] = [
  'initial sequence numbers contain a keyed hash of both endpoints',
  'a reset may carry data',
  'closing with unread data is a reset',
  'timestamps may shorten TIME-WAIT',
  'the MSS option is on every SYN unless the default fits',
  'where the MTU varies, the MSS is that of the smallest',
  "Nagle's algorithm is there",
  'ECN is there (RFC 3168)',
  'the application is warned at R1',
  'R1 is three retransmissions at least',
  'R2 is 100 seconds at least',
  'a keep-alive has no data',
  'new applications do without urgent data',
  'the receiver does not shrink its window',
  'no new data goes out while the window is shrunk',
  '… but what lies within it is repeated',
  '… and nothing beyond its edge ends the connection',
  'ACKs are delayed',
  '… but every second full segment has one',
  'the application can switch off reports of errors',
  'the DiffServ field may change later',
  '… and is handed to IP as it is',
  'applications change it rarely',
  'a later source route replaces the earlier one',
  'soft ICMP errors reach the application',
  'hard ICMP errors abort',
  'PSH bits are put together',
  'segments are as large as possible',
  'the first probe of a window comes after one RTO',
  '… and further ones at growing intervals',
  'segments out of order are kept',
];

const MAY: readonly string[] = [
  'a connection may be closed in one direction',
  'TIME-WAIT may take a new SYN',
  'the MSS option may always be sent',
  'a segment sent again may have the same IP identification',
  'keep-alives may be offered',
  '… with one octet of garbage',
  'what lies beyond a shrunk window may be repeated',
  'a receiver may keep its window closed',
  'a received DiffServ field may be told to the application',
  'the IP timestamp option may be used',
  'the Record Route option may be used',
  'data injected blindly may be told by its ACK (RFC 5961)',
  'a segment out of order may be acknowledged at once',
  'there may be a call FLUSH',
  'SEND may have a PUSH flag',
  'data without PUSH may be collected',
  'PSH may be told to the application',
  'other congestion controls may be used',
];

const OUTSIDE: Readonly<Record<string, string>> = {
  'MUST-51': SOURCE_ROUTES,
  'MUST-52': SOURCE_ROUTES,
  'MUST-53': SOURCE_ROUTES,
  'SHLD-24': SOURCE_ROUTES,
  'MAY-10': IP_OPTIONS,
  'MAY-11': IP_OPTIONS,
  'SHLD-6': 'the MTU of an interface is one number, told when it is made',
  'SHLD-13': 'about applications',
  'SHLD-23': 'about applications',
};

function numbered(prefix: string, texts: readonly string[]): Requirement[] {
  return texts.map((text, i) => {
    const id = `${prefix}-${i + 1}`;
    const outside = OUTSIDE[id];
    return outside === undefined ? { id, text } : { id, text, outside };
  });
}

/** All 119, in the order of their numbers. */
export const RFC9293: readonly Requirement[] = [
  ...numbered('MUST', MUST),
  ...numbered('SHLD', SHLD),
  ...numbered('MAY', MAY),
  ...numbered('REC', ['windows are kept in 32 bits']),
];
