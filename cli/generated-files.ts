import { completionFor, SHELLS } from './completion.ts';
import { manualPage } from './manual.ts';
import { makeProgram } from './program.ts';

/** The names under which shells look for completions. */
const COMPLETIONS = { bash: 'tunwire.bash', zsh: '_tunwire', fish: 'tunwire.fish' } as const;

/** What is made of the definitions of the commands: paths from the project's folder, and contents. */
export function generatedFiles(): readonly (readonly [string, string])[] {
  const program = makeProgram();
  return [
    ['man/tunwire.1', manualPage(program)],
    ...SHELLS.map((shell) => [`completion/${COMPLETIONS[shell]}`, completionFor(shell, program)] as const),
  ];
}
