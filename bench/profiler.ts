import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';

/** What a thread says that the inspector talks to; only our own requests are answered. */
interface WorkerMessage {
  readonly id?: number;
  readonly result?: { readonly profile?: object };
}

type Answer = (message: WorkerMessage) => void;

/** V8's sampling profiler in the calling thread and in all workers it has; they need not look into their event loops. */
export class Profiler {
  readonly #session: Session = new Session();
  readonly #workers: string[] = [];
  readonly #answers: Map<number, Answer> = new Map();
  #requests = 0;

  /** Call it when the workers run. */
  static async start(): Promise<Profiler> {
    const profiler = new Profiler();
    const session = profiler.#session;
    session.connect();
    session.on('NodeWorker.attachedToWorker', ({ params }) => void profiler.#workers.push(params.sessionId));
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      const message = JSON.parse(params.message) as WorkerMessage;
      profiler.#answers.get(message.id ?? -1)?.(message);
    });
    await session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    for (const worker of profiler.#workers) {
      await profiler.#ask(worker, 'Profiler.enable');
      await profiler.#ask(worker, 'Profiler.start');
    }
    return profiler;
  }

  /** Writes `PREFIX-main.cpuprofile`, and one `PREFIX-engine.cpuprofile` of the last worker. */
  async save(prefix: string): Promise<void> {
    const { profile } = await this.#session.post('Profiler.stop');
    writeFileSync(`${prefix}-main.cpuprofile`, JSON.stringify(profile));
    for (const worker of this.#workers) {
      const { result } = await this.#ask(worker, 'Profiler.stop');
      writeFileSync(`${prefix}-engine.cpuprofile`, JSON.stringify(result?.profile));
    }
    this.#session.disconnect();
  }

  async #ask(sessionId: string, method: string): Promise<WorkerMessage> {
    const id = ++this.#requests;
    // a worker that is not referenced keeps nobody waiting for its answer
    const keepAlive = setInterval(() => {}, 0x7fffffff);
    const answer = new Promise<WorkerMessage>((resolve) => this.#answers.set(id, resolve));
    const message = JSON.stringify({ id, method });
    await this.#session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
    const result = await answer;
    clearInterval(keepAlive);
    return result;
  }
}
