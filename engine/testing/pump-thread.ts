import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { PumpData } from './pump.ts';

/** A thread that moves data (`pump.ts`), and what it says at its end. */
export class PumpThread {
  readonly worker: Worker;
  /** Its standard error: warnings. */
  said = '';
  /** 'running' when data flows. */
  readonly running: Promise<unknown>;
  readonly outcome: Promise<unknown>;

  constructor(workerData: PumpData) {
    this.worker = new Worker(new URL('./pump.ts', import.meta.url), { workerData, stderr: true });
    this.worker.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.said += text;
    });
    this.running = message(this.worker);
    this.outcome = this.running.then((first) => (first === 'running' ? message(this.worker) : first));
  }
}

/** The next message of a thread. */
export async function message(worker: Worker): Promise<unknown> {
  const [content] = await once(worker, 'message');
  return content;
}
