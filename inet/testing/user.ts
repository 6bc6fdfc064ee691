import { Worker } from 'node:worker_threads';
import type { UserAnswer, UserTask } from './user-thread.ts';

/** A worker that uses the family as told; it joins the engine of this process by itself. */
export class User {
  readonly worker: Worker = new Worker(new URL('./user-thread.ts', import.meta.url));

  /** Only an answer that is waited for keeps the process alive: a test that fails leaves its user behind. */
  constructor() {
    this.worker.unref();
  }

  async run(task: UserTask): Promise<UserAnswer> {
    this.start(task);
    return this.answer();
  }

  start(task: UserTask): void {
    this.worker.postMessage(task);
  }

  async answer(): Promise<UserAnswer> {
    this.worker.ref();
    try {
      return await new Promise((done, fail) => {
        this.worker.once('message', done);
        this.worker.once('error', fail);
      });
    } finally {
      this.worker.unref();
    }
  }
}
