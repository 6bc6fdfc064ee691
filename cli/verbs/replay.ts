import { type Command, InvalidArgumentError, Option } from 'commander';
import { REPLAY_DEFAULTS } from '../../conformance/replay/options.ts';
import { collect, number, whole } from '../flags.ts';

/** What commander makes of the flags. */
export interface ReplayFlags {
  readonly connection?: number;
  readonly strict?: true;
  readonly exact?: true;
  readonly seed?: number;
  readonly json?: true;
  readonly reads?: 'window' | 'once';
  readonly nagle?: true;
  readonly timeTolerance?: number;
  readonly windowTolerance?: number;
  readonly patience?: number;
  readonly congestion?: string;
  readonly recvBuffer?: number;
  readonly sendBuffer?: number;
  readonly onto?: string;
  readonly speed?: string;
  readonly loop?: number;
  readonly map?: readonly string[];
  readonly filter?: string;
}

const onto = (option: Option): Option => option.helpGroup('Onto a device:');

/** Adds the verb `replay`. */
export function addReplayCommand(program: Command): void {
  program
    .command('replay')
    .summary('replay recorded sessions against the stack, or packets onto a device')
    .description(
      "Feeds the server's packets of a capture (pcap or pcapng) to the stack at their recorded times, makes the client's calls " +
        'when the recorded client made them, and compares what the stack sends: by its meaning, or every segment, or every ' +
        'byte. Virtual time: hours take moments. A capture of this stack may tell how it is to be replayed; what is given here counts more. With --onto the ' +
        'packets are put onto a device as they are, at their recorded distances, as tcpreplay does.',
    )
    .argument('<file...>', 'captures')
    .option('--connection <number>', 'only the session of this number, from 1', number)
    .option('--strict', 'compare segment by segment')
    .option('--exact', 'compare byte by byte: for recordings of this stack in virtual time')
    .option('--json', 'report in JSON instead of TAP')
    .option(
      '--seed <number>',
      "the recording's seed: the sequence numbers must follow from it (--exact: default the recorded one)",
      number,
    )
    .option(
      '--window-tolerance <part>',
      `by which part a window may differ, 0 to 1 (default ${REPLAY_DEFAULTS.windowTolerance}; --exact: 0)`,
      number,
    )
    .option(
      '--time-tolerance <ms>',
      `strict, exact: by how much the time of a segment may differ (default ${REPLAY_DEFAULTS.timeToleranceMs}; --exact: what a capture rounds)`,
      number,
    )
    .option(
      '--patience <ms>',
      `how late the stack may be with what the server reacts to (default ${REPLAY_DEFAULTS.patienceMs})`,
      number,
    )
    .addOption(
      new Option(
        '--reads <when>',
        'when the application reads: as the recorded windows tell (default), or at once',
      ).choices(['window', 'once']),
    )
    .option('--nagle', "leave Nagle's algorithm on")
    .option('--congestion <name>', 'the congestion control of the stack (default cubic)')
    .option(
      '--recv-buffer <bytes>',
      "the receive buffer's size, a power of two (default from the recorded windows)",
      powerOfTwo,
    )
    .option(
      '--send-buffer <bytes>',
      "the send buffer's size, a power of two (default large enough)",
      powerOfTwo,
    )
    .addOption(onto(new Option('--onto <device>', 'tun:NAME, tap:NAME or raw:INTERFACE')))
    .addOption(onto(new Option('--speed <factor>', 'times faster than recorded, or max (default: 1)')))
    .addOption(
      onto(
        new Option('--loop <number>', 'all captures so often (default: 1); 0: until interrupted').argParser(
          whole,
        ),
      ),
    )
    .addOption(
      onto(
        new Option(
          '--map <old=new>',
          'other addresses, or prefixes: 10.0.0.1=10.9.0.1; repeatable',
        ).argParser(collect),
      ),
    )
    .addOption(
      onto(
        new Option(
          '--filter <words>',
          "only these, as they are recorded: 'src host 10.0.0.1', as dump has it",
        ),
      ),
    )
    .addHelpText(
      'after',
      `
Exit codes: 0 all that was replayed is as recorded; 1 something differs, or no
session could be replayed; 2 a file cannot be read, or the command line is
wrong. A session that cannot be replayed (octets missing, begun before the
capture) is skipped with its reason, and does not count as passed.
With --onto: 0 all that can be sent was; 1 nothing could, or the interface has
refused packets; 2 as above; 45 device; 130 interrupted.`,
    )
    .action(async (files: string[], flags: ReplayFlags, command: Command) => {
      const { onto: device, speed, loop, map, filter } = flags;
      if (device !== undefined) {
        const { playFiles } = await import('../play.ts');
        process.exitCode = await playFiles(files, device, flags);
        return;
      }
      if ((speed ?? loop ?? map ?? filter) !== undefined)
        command.error(
          'error: --speed, --loop, --map and --filter are for packets that go onto a device: --onto raw:INTERFACE',
          {
            exitCode: 2,
          },
        );
      const { replayFiles } = await import('../replay.ts');
      process.exitCode = replayFiles(files, flags);
    });
}

function powerOfTwo(text: string): number {
  const value = number(text);
  if (value === 0 || Math.log2(value) % 1 !== 0) throw new InvalidArgumentError('expected a power of two');
  return value;
}
