import type { Command, Option } from 'commander';
import { optionsOf, verbs } from './manual.ts';

/** What a verb can be completed with. */
interface Words {
  readonly verb: string;
  readonly summary: string;
  readonly options: readonly Option[];
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** Options whose values are files. */
const FILE = /<(file|path)>/;

/** The completion of a program's command line, for a shell. */
export function completionFor(shell: Shell, program: Command): string {
  const words = verbs(program).map((verb) => ({
    verb: verb.name(),
    summary: verb.summary() || verb.description(),
    options: optionsOf(verb),
  }));
  if (shell === 'bash') return bash(words);
  return shell === 'zsh' ? zsh(words) : fish(words);
}

function flagsOf(option: Option): string[] {
  return [option.short, option.long].filter((flag) => flag !== undefined);
}

function bash(words: readonly Words[]): string {
  const cases = words.map(
    ({ verb, options }) => `    ${verb}) words='${options.flatMap(flagsOf).join(' ')}' ;;`,
  );
  const choices = distinct(
    words.flatMap(({ options }) => options).filter(({ argChoices }) => argChoices !== undefined),
  ).map(
    (option) =>
      `    ${flagsOf(option).join('|')}) COMPREPLY=($(compgen -W '${option.argChoices?.join(' ')}' -- "$word")); return ;;`,
  );
  return `# bash completion for tunwire
_tunwire() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${words.map(({ verb }) => verb).join(' ')} help' -- "$word"))
    return
  fi
  case $before in
${choices.join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _tunwire tunwire
`;
}

function distinct(options: readonly Option[]): readonly Option[] {
  return [...new Map(options.map((option) => [option.flags, option])).values()];
}

function zsh(words: readonly Words[]): string {
  const list = words.map(({ verb, summary }) => `    ${quoted(`${verb}:${summary}`)}`);
  const cases = words.map(({ verb, options }) => {
    const specs = options.map((option) => `        ${zshOption(option)} \\`);
    return `      ${verb})\n        _arguments \\\n${specs.join('\n')}\n        '*:file:_files' ;;`;
  });
  return `#compdef tunwire
_tunwire() {
  local -a verbs
  verbs=(
${list.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe verb verbs
  else
    case $words[2] in
${cases.join('\n')}
    esac
  fi
}
_tunwire "$@"
`;
}

function zshOption(option: Option): string {
  const flags = flagsOf(option);
  const name = flags.length > 1 ? `{${flags.join(',')}}` : `${flags[0]}`;
  const text = option.description.replace(/[[\]:]/g, '\\$&');
  let value = '';
  if (option.argChoices !== undefined) value = `:value:(${option.argChoices.join(' ')})`;
  else if (option.required) value = FILE.test(option.flags) ? ':file:_files' : ':value: ';
  return `${name}${quoted(`[${text}]${value}`)}`;
}

function fish(words: readonly Words[]): string {
  const first = words.map(
    ({ verb, summary }) =>
      `complete -c tunwire -n __fish_use_subcommand -f -a ${verb} -d ${fishQuoted(summary)}`,
  );
  const rest = words.flatMap(({ verb, options }) =>
    options.map((option) => {
      const long = option.long === undefined ? '' : ` -l ${option.long.slice(2)}`;
      const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
      let value = option.required ? ' -x' : '';
      if (option.argChoices !== undefined) value = ` -x -a ${fishQuoted(option.argChoices.join(' '))}`;
      else if (FILE.test(option.flags)) value = ' -r';
      const when = fishQuoted(`__fish_seen_subcommand_from ${verb}`);
      return `complete -c tunwire -n ${when}${short}${long}${value} -d ${fishQuoted(option.description)}`;
    }),
  );
  return `# fish completion for tunwire\n${[...first, ...rest].join('\n')}\n`;
}

/** In single quotes of sh and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** In single quotes of fish. */
function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
