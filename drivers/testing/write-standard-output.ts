/**
 * Writes as much as the argument says to the capture that standard output is, as the process of a test.
 * `node write-standard-output.ts BYTES [nonblocking]`
 */
import { CaptureFiles } from '../capture-files.ts';
import { F_GETFL, F_SETFL, fcntl, O_NONBLOCK } from '../syscalls.ts';

const bytes = new Uint8Array(Number(process.argv[2])).fill(0x2e);
if (process.argv[3] === 'nonblocking') fcntl(1, F_SETFL, fcntl(1, F_GETFL, 0) | O_NONBLOCK);
const files = new CaptureFiles('/dev/stdout', false, null);
files.write(bytes, bytes.length);
files.cutOff();
files.close();
