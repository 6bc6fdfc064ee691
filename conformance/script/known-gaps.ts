import { matchesGlob } from 'node:path';

/** Scripts of a collection that end otherwise than well, with the reason: one entry of `conformance/*-gaps.json`. */
interface Gap {
  /** Globs of paths within the collection. */
  readonly scripts: readonly string[];
  readonly verdict: string;
  readonly reason: string;
}

/** Which scripts are known to fail, and why. */
export class KnownGaps {
  readonly #gaps: readonly Gap[];

  /** @param text JSON: `{"gaps": [{"scripts": ["tcp/x*"], "verdict": "fail", "reason": "…"}]}`. @throws SyntaxError */
  constructor(text: string) {
    const { gaps } = JSON.parse(text) as { gaps?: unknown };
    if (!Array.isArray(gaps) || !gaps.every(isGap))
      throw new SyntaxError('expected {"gaps": [{"scripts": [GLOB, …], "verdict": "fail", "reason": TEXT}]}');
    this.#gaps = gaps;
  }

  /** Why a script fails; null: it should not. */
  reasonFor(file: string): string | null {
    const gap = this.#gaps.find(
      ({ scripts, verdict }) =>
        verdict === 'fail' &&
        scripts.some((glob) => {
          const pattern = glob.endsWith('.pkt') ? glob : `${glob}.pkt`;
          return matchesGlob(file, `**/${pattern}`) || matchesGlob(file, pattern);
        }),
    );
    return gap?.reason ?? null;
  }
}

function isGap(value: unknown): value is Gap {
  if (typeof value !== 'object' || value === null) return false;
  const { scripts, verdict, reason } = value as Partial<Gap>;
  return Array.isArray(scripts) && typeof verdict === 'string' && typeof reason === 'string';
}
