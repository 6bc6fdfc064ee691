/** Reads AVA's TAP output (testanything.org), prints what failed, and counts. */
export class TapReader {
  passed = 0;
  failed = 0;
  readonly #verbose: boolean;
  readonly #print: (line: string) => void;
  /** Lines that begin with # belong to the result before them, which was printed or not. */
  #shown = true;

  /** @param verbose also prints what passed */
  constructor(verbose: boolean, print: (line: string) => void = console.log) {
    this.#verbose = verbose;
    this.#print = print;
  }

  line(text: string): void {
    const result = /^(not )?ok \d+ - (.*)$/.exec(text);
    if (result !== null) {
      this.#result(result[1] === undefined, result[2] ?? '');
    } else if (
      /^(TAP version |1\.\.\d+$|# (tests|pass|fail|skip|todo) \d+$|# .* › (before|after)(Each)?(\.always)? hook$)/.test(
        text,
      )
    ) {
      this.#shown = false;
    } else if (this.#shown && text !== '') {
      this.#print(`    ${text}`);
    } else if (text.startsWith('# ')) {
      // what a test or AVA itself has to say outside of a result
      this.#print(text);
    }
  }

  #result(ok: boolean, title: string): void {
    const directive = / # (SKIP|TODO)\b/i.exec(title);
    if (directive !== null) {
      this.fail(`${title}: known gaps are listed, not skipped`);
      return;
    }
    if (!ok) {
      this.fail(title);
      return;
    }
    this.passed++;
    this.#shown = this.#verbose;
    if (this.#verbose) this.#print(`✔ ${title}`);
  }

  /** Counts and shows a failure. */
  fail(title: string): void {
    this.failed++;
    this.#shown = true;
    this.#print(`✘ ${title}`);
  }

  end(): void {
    this.#shown = false;
  }
}
