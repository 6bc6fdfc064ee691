import type { Argument, Command, Option } from 'commander';

/** The date is not told: the page changes with the command only. */
const HEADER = '.TH TUNWIRE 1 "" "tunwire" "User commands"';

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  [
    'TUNWIRE_DEVICE, TUNWIRE_ADDR, TUNWIRE_GW, TUNWIRE_DNS, TUNWIRE_HOSTS',
    'what --device, --addr, --gw, --dns and --hosts are when they are not given; lists are separated by commas. tunwire lab sets them.',
  ],
  ['TUNWIRE_CAFILE', 'what --cafile is when it is not given.'],
  ['SSLKEYLOGFILE', 'what --keylog is when it is not given.'],
  ['PACKETDRILL', 'where packetdrill is.'],
];

export const EXIT_CODES: readonly (readonly [number, string])[] = [
  [0, 'Done.'],
  [1, 'Something differs or failed that has no code of its own.'],
  [2, 'The command line is wrong.'],
  [3, 'The URL is wrong.'],
  [6, 'The name could not be resolved.'],
  [7, 'No connection.'],
  [8, 'The answer is not in the protocol.'],
  [18, 'The body has ended too early.'],
  [22, 'The status says failure (get -f).'],
  [23, 'Standard output, or the file for it, takes no more.'],
  [26, 'The file that is to be sent cannot be read.'],
  [28, 'Not done in time.'],
  [35, 'The TLS handshake failed.'],
  [
    45,
    'The device cannot be used: it is not there, or the right to it is missing; the message says which, and tunwire doctor what to do.',
  ],
  [47, 'Too many redirections.'],
  [52, 'The server has closed the connection without an answer.'],
  [55, 'Sending failed.'],
  [56, 'Receiving failed.'],
  [59, 'No such cipher suite.'],
  [60, 'The certificate is not valid.'],
  [64, 'The server does not go over to TLS (STARTTLS).'],
  [
    77,
    'The file of trusted certificates cannot be used (--cafile), as with curl; never that something was skipped.',
  ],
  [130, 'Interrupted (Ctrl-C); 143 ended by SIGTERM, 129 by SIGHUP.'],
];

/** The manual page of a program and all its verbs, as man(7) has it. */
export function manualPage(program: Command): string {
  const lines = [
    HEADER,
    '.SH NAME',
    `${program.name()} \\- ${roff(program.description())}`,
    '.SH SYNOPSIS',
    `.B ${program.name()}`,
    '.I VERB',
    '[\\fIOPTION\\fR]...',
    '.SH DESCRIPTION',
    'Connects, listens, looks names up, fetches and measures over a TCP/IP and TLS stack of its own, without the sockets of the operating system. ' +
      'Data goes to standard output, everything else to standard error.',
    ...verbs(program).flatMap(verbSection),
    '.SH "EXIT STATUS"',
    'The codes are those of curl, where it has one.',
    ...EXIT_CODES.flatMap(([code, text]) => ['.TP', `.B ${code}`, roff(text)]),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(([name, text]) => ['.TP', `.B ${roff(name)}`, roff(text)]),
    '.SH "SEE ALSO"',
    '.BR curl (1),\n.BR dig (1),\n.BR ip (8),\n.BR nc (1),\n.BR packetdrill (1),\n.BR tcpdump (8),\n.BR unshare (1)',
  ];
  return `${lines.join('\n')}\n`;
}

/** The verbs that people see, in the order of the help. */
export function verbs(program: Command): readonly Command[] {
  return program
    .createHelp()
    .visibleCommands(program)
    .filter((verb) => verb.name() !== 'help');
}

/** The options of a verb that people see. */
export function optionsOf(verb: Command): readonly Option[] {
  return verb.createHelp().visibleOptions(verb);
}

function verbSection(verb: Command): string[] {
  return [
    `.SH "TUNWIRE ${verb.name().toUpperCase()}"`,
    `.B tunwire ${verb.name()}`,
    `${roff(verb.usage())}`,
    '.PP',
    roff(verb.description()),
    ...verb.registeredArguments.flatMap(argumentEntry),
    ...optionsOf(verb).flatMap(optionEntry),
  ];
}

function argumentEntry(argument: Argument): string[] {
  return ['.TP', `.I ${roff(argument.name())}`, roff(argument.description)];
}

function optionEntry(option: Option): string[] {
  const notes: string[] = [];
  if (option.argChoices !== undefined) notes.push(`one of ${option.argChoices.join(', ')}`);
  const isSaid = option.defaultValue === undefined || option.negate || Array.isArray(option.defaultValue);
  if (!isSaid && !option.description.includes('default'))
    notes.push(`default ${option.defaultValueDescription ?? String(option.defaultValue)}`);
  if (option.envVar !== undefined) notes.push(`environment ${option.envVar}`);
  const text = notes.length === 0 ? option.description : `${option.description} (${notes.join('; ')})`;
  return ['.TP', `.B ${roff(option.flags)}`, roff(text)];
}

/** Text with what roff takes for its own made plain. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', '\\(cq')
    .replaceAll('…', '...')
    .replace(/^([.'])/gm, '\\&$1');
}
