import { createInterface } from 'node:readline';
import type { LabProcess } from '../test/netns.ts';
import type { RunRequest, SubjectAnswer } from './job.ts';

/** Longer than any run; a subject that hangs shall not hold up the others. */
const PATIENCE_MS = 45_000;

/** A subject's process, seen from the one that asks it. */
export class SubjectProcess {
  readonly #process: LabProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(process: LabProcess) {
    this.#process = process;
    this.#lines = createInterface({ input: process.child.stdout })[Symbol.asyncIterator]();
  }

  /** Waits until the subject is ready. @throws what it wrote to its standard error when it ends instead */
  static async ready(process: LabProcess): Promise<SubjectProcess> {
    const subject = new SubjectProcess(process);
    await subject.#answer();
    return subject;
  }

  get pid(): number {
    return this.#process.child.pid ?? -1;
  }

  run(request: RunRequest): Promise<SubjectAnswer> {
    this.#process.child.stdin.write(`${JSON.stringify(request)}\n`);
    return this.#answer();
  }

  /** Lets it end by itself, so that it can write its profile. */
  async stop(): Promise<void> {
    this.#process.child.stdin.end();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), PATIENCE_MS);
    await this.#process.exited;
    clearTimeout(timer);
  }

  async #answer(): Promise<SubjectAnswer> {
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), PATIENCE_MS);
    const { value, done } = await this.#lines.next();
    clearTimeout(timer);
    if (!done) return JSON.parse(value) as SubjectAnswer;
    const code = await this.#process.exited;
    const reason = this.#process.stderr.trim() || (code === null ? `no answer in ${PATIENCE_MS} ms` : '');
    throw new Error(reason || `ended with code ${code}`);
  }
}
