import test from 'ava';
import { runScript, type Verdict } from './runner.ts';

const ESTABLISHED = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32792 <mss 1000,sackOK,nop,nop>
+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK>
+.01 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4
`;

function run(events: string, options = ''): Verdict {
  return runScript(`${options}${ESTABLISHED}${events}`);
}

test('a script that holds passes', (t) => {
  t.like(run('+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n'), { kind: 'pass', seconds: 0.01 });
});

test('a wrong ACK is shown, with the field marked', (t) => {
  const verdict = run('+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 2\n');
  t.like(verdict, { kind: 'fail', line: 9, reason: 'the packet differs in ack' });
  t.deepEqual(verdict.details, [
    'expected: 0.010000 > P. 1:11(10) ack 2           <>',
    '     got: 0.010000 > P. 1:11(10) ack 1 win 65535 <>',
    '                                 ^^^^^',
  ]);
});

test('each field that a script can state is compared', (t) => {
  const sends = (packet: string, setUp = ''): string => `${setUp}+0 write(4, ..., 10) = 10\n+0 > ${packet}\n`;
  const wrong: [string, string][] = [
    ['. 1:11(10) ack 1', 'flags'],
    ['P. 2:12(10) ack 1', 'seq'],
    ['P. 1:10(9) ack 1', 'seq'],
    ['P. 1:11(10) ack 1 win 5', 'win'],
    ['P. 1:11(10) ack 1 <nop>', 'options'],
    ['P. 1:11(10) ack 1 urg 4', 'urg'],
    ['(ttl 9) P. 1:11(10) ack 1', 'ttl'],
    ['(tos 0x4) P. 1:11(10) ack 1', 'tos'],
    ['[ect0] P. 1:11(10) ack 1', 'ecn'],
    ['1 > 2 P. 1:11(10) ack 1', 'ports'],
  ];
  for (const [packet, field] of wrong) {
    const verdict = run(sends(packet));
    t.is(verdict.kind, 'fail', packet);
    t.is(verdict.reason, `the packet differs in ${field}`, packet);
  }
  t.is(run(sends('P. 1:11(10) ack 1 <...>')).kind, 'pass');
});

test('lenient: options as a set, PSH and windows not compared; all else is', (t) => {
  const lenient = (last: string): string =>
    runScript(`${ESTABLISHED}+0 write(4, ..., 10) = 10\n+0 > ${last}\n`, { lenient: true }).kind;
  t.is(lenient('. 1:11(10) ack 1 win 5 <nop,nop>'), 'pass');
  t.is(lenient('. 1:11(10) ack 1 <mss 5>'), 'fail');
  t.is(lenient('. 1:11(10) ack 2'), 'fail');
});

test('what comes early or late fails; the tolerance is the larger of the two', (t) => {
  const delayed = (time: string, options = ''): string =>
    run(`+0 < P. 1:11(10) ack 1 win 100\n${time} > . 1:1(0) ack 11\n`, options).reason;
  t.is(delayed('+.04'), '');
  // 4.1 ms late, 12.5 % of the time since the event before are 4.5 ms
  t.is(delayed('+.0359'), '');
  t.regex(delayed('+.030'), /came 10000 us late \(tolerance 4000 us\)/);
  t.regex(delayed('+.060'), /came 20000 us early \(tolerance 7500 us\)/);
  t.is(delayed('+.030', '--tolerance_usecs=10000\n'), '');
  t.is(delayed('+.030~+.050'), '');
  t.is(delayed('*'), '');
});

test('a packet that nobody expects fails, at the end of the script, too', (t) => {
  t.like(run('+0 < R 2:2(0) win 0\n'), {
    kind: 'fail',
    reason: 'a packet was sent that the script does not expect',
  });
  t.like(run('+0 < R 2:2(0) win 0\n+0 close(4) = 0\n'), { kind: 'fail' });
  t.like(run('+0 close(4) = 0\n'), { kind: 'pass' }, 'the FIN of a last close is not judged');
});

test('a packet that does not come fails', (t) => {
  t.like(run('+0 > . 1:1(0) ack 1\n'), { kind: 'fail', line: 8, reason: 'no packet was sent' });
  t.like(run('* > . 1:1(0) ack 1\n'), { kind: 'fail', line: 8, reason: 'no packet was sent' });
});

test('segments together make the one that is expected, unless the script is strict', (t) => {
  const events = '+0 write(4, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1\n';
  t.is(run(events).kind, 'pass');
  t.is(run(events, '--strict_segments\n').kind, 'fail');
});

test('calls: results, errors, and the time a blocking one returns', (t) => {
  t.like(run('+0 write(4, ..., 10) = 9\n'), { kind: 'fail', details: ['expected: 9', '     got: 10'] });
  t.like(run('+0 read(4, ..., 10) = 0\n'), { kind: 'fail', reason: 'read blocks' });
  const read = (end: string): Verdict =>
    run(`+0...${end} read(4, ..., 10) = 10\n+.2 < P. 1:11(10) ack 1 win 100\n+.04 > . 1:1(0) ack 11\n`);
  t.is(read('.2').kind, 'pass');
  t.regex(read('.3').reason, /the end of read came 100000 us early/);
});

test('code: what holds, what does not, what the stack does not tell', (t) => {
  t.is(
    run(
      '+0 %{ assert tcpi_snd_cwnd == 10 and tcpi_state == TCP_ESTABLISHED; x = 5; x += 1; assert 5 < x <= 6 }%\n',
    ).kind,
    'pass',
  );
  t.like(run("+0 %{ assert tcpi_snd_cwnd == 11, 'cwnd=%d' % tcpi_snd_cwnd }%\n"), {
    kind: 'fail',
    reason: 'not true: tcpi_snd_cwnd == 11, which is cwnd=10',
  });
  t.like(run('+0 %{ assert tcpi_moon == 1 }%\n'), {
    kind: 'skip',
    reason: 'the stack does not tell tcpi_moon',
  });
});

test('commands: settings, counts of connections; what is unknown skips the script, and nothing is executed', (t) => {
  const count = (state: string, n: number): Verdict =>
    run(`+0 \`sockstat -4 | grep -c ${state} | grep ${n}\`\n`);
  t.is(count('ESTABLISHED', 1).kind, 'pass');
  t.like(count('ESTABLISHED', 2), { kind: 'fail', reason: '1 connections are in ESTABLISHED, expected 2' });
  t.like(run('+0 `rm -rf /tmp/nothing`\n'), { kind: 'skip', reason: 'command: rm -rf /tmp/nothing' });
  t.like(run('+0 `sysctl -w net.inet.tcp.insecure_rst=1`\n'), { kind: 'skip' });
  const noSack = runScript(`\`sysctl -q net.ipv4.tcp_sack=0\`\n${ESTABLISHED}`);
  t.like(noSack, { kind: 'fail', reason: 'the packet differs in options' });
});

test('profiles: buffers, window scale, and a FIN that BSD repeats', (t) => {
  const connect = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 getsockopt(3, SOL_SOCKET, SO_RCVBUF, [65536], [4]) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>
+.1 < S. 0:0(0) ack 1 win 32767 <mss 1460,sackOK,eol,eol>
+0 > . 1:1(0) ack 1 win 65535
+0 getsockopt(3, SOL_SOCKET, SO_RCVBUF, [65700], [4]) = 0
+0 shutdown(3, SHUT_WR) = 0
+0 > F. 1:1(0) ack 1 win 65535
+.1 < F. 1:1(0) ack 1 win 32767
+0 > F. 1:1(0) ack 2 win 65535
`;
  t.is(runScript(connect, { profile: 'freebsd' }).kind, 'pass');
  t.is(runScript(connect).kind, 'fail');
  t.throws(() => runScript(connect, { profile: 'plan9' }), { instanceOf: RangeError });
});

test('IPv6, UDP and ICMP', (t) => {
  const udp = `--ip_version=ipv6
0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3
+0 connect(3, ..., ...) = 0
+0 write(3, ..., 100) = 100
+0 > udp (100)
+.01 < udp (50)
+0 read(3, ..., 1000) = 50
+0 write(3, ..., 10) = 10
+0 > udp (10)
+.01 < icmp unreachable port_unreachable [udp (10)]
+0 read(3, ..., 1000) = -1 ECONNREFUSED (Connection refused)
`;
  t.like(runScript(udp), { kind: 'pass' });
});

test('datagrams without a connection: the address may be the peer of the script', (t) => {
  const server = `0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3
+0 bind(3, ..., ...) = 0
+1 < udp(1000)
+0 recvfrom(3, ..., 2000, 0, ..., ...) = 1000
+1 sendto(3, ..., 300, 0, ..., ...) = 300
+0 > udp(300)
`;
  const client = `0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3
+1 sendto(3, ..., 200, 0, ..., ...) = 200
+0 > udp(200)
+1 < udp(100)
+0 recvfrom(3, ..., 1000, 0, ..., ...) = 100
`;
  t.is(runScript(server).kind, 'pass');
  t.is(runScript(client).kind, 'pass');
  t.is(runScript(client.replace('> udp(200)', '> udp(201)')).kind, 'fail');
});

test('a script that is no script fails with its line', (t) => {
  t.like(runScript('0 close(3) = 0\n+0 nonsense\n'), { kind: 'fail', line: 3 });
});
