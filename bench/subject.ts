/**
 * One subject of one measurement, in a process of its own: `subject.ts OPTIONS`. Says `{}` when it is ready, then answers each
 * RunRequest on its standard input by a RunResult; ends when its input does.
 */
import { createInterface } from 'node:readline';
import { AsynchronousFace } from './faces/asynchronous.ts';
import { BlockingFace } from './faces/blocking.ts';
import { DeviceFace } from './faces/device.ts';
import type { Face } from './faces/face.ts';
import { NodeFace } from './faces/node.ts';
import type { RunRequest, SubjectAnswer, SubjectOptions } from './job.ts';
import { Profiler } from './profiler.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as SubjectOptions;

async function faceOf(subject: SubjectOptions): Promise<Face> {
  switch (subject.face) {
    case 'blocking':
      return new BlockingFace(subject);
    case 'asynchronous':
      return AsynchronousFace.start(subject);
    case 'node':
      return new NodeFace(subject);
    default:
      return DeviceFace.start(subject);
  }
}

const face = await faceOf(options);
const profiler = options.profile === '' ? null : await Profiler.start();
console.log('{}');
for await (const line of createInterface({ input: process.stdin })) {
  const since = performance.now();
  const before = process.cpuUsage();
  const result = await face.run(JSON.parse(line) as RunRequest);
  const { user, system } = process.cpuUsage(before);
  const cores = (user + system) / 1000 / (performance.now() - since);
  const answer: SubjectAnswer = { ...result, cores };
  console.log(JSON.stringify(answer));
}
await profiler?.save(options.profile);
await face.close();
