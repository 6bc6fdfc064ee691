import { Session } from 'node:inspector';

interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly ranges: readonly {
      readonly startOffset: number;
      readonly endOffset: number;
      readonly count: number;
    }[];
  }[];
}

/**
 * Counts what V8 runs of the sources below a folder. To be made before they are loaded: what was compiled without counters does not get any.
 * @param folder a `file:` URL
 * @returns names the blocks that ran since it was asked last
 */
export function watchCode(folder: string): () => string[] {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return () => {
    let scripts: readonly ScriptCoverage[] = [];
    // answered before it returns: the session is of this thread
    session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      scripts = result;
    });
    const ran: string[] = [];
    for (const { url, functions } of scripts) {
      if (!url.startsWith(folder)) continue;
      for (const { ranges } of functions)
        for (const { startOffset, endOffset, count } of ranges)
          if (count > 0) ran.push(`${url}:${startOffset}-${endOffset}`);
    }
    return ran;
  };
}
