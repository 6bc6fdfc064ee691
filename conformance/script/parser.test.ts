import test from 'ava';
import { fc } from '../../test/properties.ts';
import { parseScript } from './parser.ts';
import { ScriptSyntaxError, type TcpSpec } from './syntax.ts';

const SCRIPT = `// a comment
--tolerance_usecs=10000
--define=SIZE=1000
/* another
   comment */
\`../common/defaults.sh\`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0...0.200 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
  +.1 > S 0:0(0) win 65535 <mss SIZE,nop,wscale 6,sackOK,TS val 100 ecr 0>
  1~2 > . 1:1(0) ack 1 <...>
+.1~+.2 > [ect0] P. 1:11(10) ack 1
    * > (ttl 4) F. 11:11(0) ack 1
   +0 < . 1:1(0) ack 1 win 257 <sack 2:3 5:9,nop,nop>
   +0 < icmp unreachable frag_needed mtu 1200 [1:1001(1000)]
   +0 < udp 80 > 81 (12)
   +0 > R. 0:0(0)! ack 1 win 0
   +0 sendmsg(3, {msg_name(...)=..., msg_iov(2)=[{..., 100}, {..., 20}],
              msg_flags=0}, 0) = 120
   +0 %{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%
   +0 \`sysctl -w a.b=1\`
`;

test('every form of the language is read', (t) => {
  const script = parseScript(SCRIPT);
  t.deepEqual(
    [...script.options],
    [
      ['tolerance_usecs', '10000'],
      ['define', 'SIZE=1000'],
    ],
  );
  t.is(script.init?.text, '../common/defaults.sh');
  t.deepEqual(
    script.events.map((event) => [event.line, event.time.kind, event.action.kind]),
    [
      [7, 'absolute', 'call'],
      [8, 'relative', 'call'],
      [9, 'relative', 'tcp'],
      [10, 'absolute-range', 'tcp'],
      [11, 'relative-range', 'tcp'],
      [12, 'any', 'tcp'],
      [13, 'relative', 'tcp'],
      [14, 'relative', 'icmp'],
      [15, 'relative', 'udp'],
      [16, 'relative', 'tcp'],
      [17, 'relative', 'call'],
      [19, 'relative', 'code'],
      [20, 'relative', 'command'],
    ],
  );
});

test('a segment is read field by field', (t) => {
  const [event] = parseScript(
    '0 < [ce] 80 > 81 SEW. 5:15(10) ack 7 win 9 urg 3 <mss 1,TS val 2 ecr 3,sack 1:2>',
  ).events;
  t.like(event?.action as TcpSpec, {
    inbound: true,
    ip: { ecn: 'ce', ttl: null },
    ports: [80, 81],
    flags: 'SEW.',
    seq: 5,
    payloadBytes: 10,
    ack: 7,
    window: 9,
    urgent: 3,
    options: [
      { kind: 'mss', value: 1 },
      { kind: 'TS', val: 2, ecr: 3 },
      { kind: 'sack', blocks: [[1, 2]] },
    ],
  });
});

test('flags: none, the ACK alone, the AccECN counter; numbers that stand for any', (t) => {
  const spec = (text: string): TcpSpec => parseScript(`0 > ${text}`).events[0]?.action as TcpSpec;
  t.is(spec('- 0:0(0)').flags, '');
  t.is(spec('. 0:0(0) ack 1').flags, '.');
  t.like(spec('P.5 0:0(0) ack 1'), { flags: 'P.', ace: 5 });
  t.is(spec('. ...(0) ack 1').seq, null);
  t.is(spec('. 0:0(0) ack 1 <...>').options, null);
  t.deepEqual(spec('. 0:0(0) ack 1 <>').options, []);
  t.is(spec('. 4294967295:4(5) ack 1').seq, 0xffffffff);
});

test('what an ICMP error quotes may stand in front; packets of other protocols are told apart and passed over', (t) => {
  const { events } = parseScript(`0 < [1:1001(1000)] icmp unreachable frag_needed mtu 1200
+0 > sctp: ERROR[flgs=0, CAUSE[code=0x0001,
                               len=8]];
           SACK[flgs=0, gaps=[]]
+0 < [sctp(2)] icmp unreachable protocol_unreachable
+0 < icmp unreachable port_unreachable [udplite(1000, 0)]
+0 < udplite(1000, 0)
+0 close(3) = 0
`);
  t.deepEqual(
    events.map(({ line, action }) => [line, action.kind === 'unsupported' ? action.reason : action.kind]),
    [
      [1, 'icmp'],
      [2, 'SCTP'],
      [5, 'SCTP'],
      [6, 'UDP-Lite'],
      [7, 'UDP-Lite'],
      [8, 'call'],
    ],
  );
  t.like(events[0]?.action, { mtuBytes: 1200, quoted: { protocol: 'tcp', seq: 1, payloadBytes: 1000 } });
});

test('#ifdef, #ifndef, #else and #endif leave line numbers as they are', (t) => {
  const text =
    '#ifdef A\n0 close(1) = 0\n#else\n0 close(2) = 0\n#endif\n#ifndef A\n0 close(3) = 0\n#endif\n0 close(4) = 0\n';
  const lines = (symbols: string[]): number[] => parseScript(text, symbols).events.map((event) => event.line);
  t.deepEqual(lines(['A']), [2, 9]);
  t.deepEqual(lines([]), [4, 7, 9]);
  t.throws(() => parseScript('#ifdef A\n0 close(1) = 0'), { message: '#ifdef without #endif' });
});

test('mistakes are told with their line', (t) => {
  const mistakes: [string, number, RegExp][] = [
    ['0 close(1) = 0\n+0 > S 0:5(0)', 2, /do not fit/],
    ['0 close(1 = 0', 1, /expected ','/],
    ['\n\nx close(1) = 0', 3, /expected a time/],
    ['2~1 > . 0:0(0)', 1, /runs backwards/],
    ['0 > XYZ 0:0(0)', 1, /TCP flags/],
    ['0 > . 0:0(0) <foo 1>', 1, /unknown TCP option/],
    ['--ip_version=ipv4', 1, /no events/],
  ];
  for (const [text, line, message] of mistakes) {
    const error = t.throws(() => parseScript(text), { instanceOf: ScriptSyntaxError, message }, text);
    t.is(error.line, line, text);
  }
});

test('a script that is cut off anywhere, or mixed up, is read or refused, never anything else', (t) => {
  const tolerant = (text: string): void => {
    try {
      parseScript(text);
    } catch (error) {
      if (!(error instanceof ScriptSyntaxError)) throw error;
    }
  };
  for (let end = 0; end <= SCRIPT.length; end++) tolerant(SCRIPT.slice(0, end));
  const pieces = SCRIPT.split(/(?<=[ (),<>])/);
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 40 }), (mix) => tolerant(mix.join(''))),
  );
  t.pass();
});
