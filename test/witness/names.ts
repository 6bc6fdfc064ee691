import { resolve } from 'node:path';

export const ROOT: string = resolve(import.meta.dirname, '../..');
/** Environment: the folder that frames are written to. */
export const FOLDER = 'TUNWIRE_WITNESS';
/** Environment: the test file that a thread belongs to, or that the process was started by. */
export const TEST_FILE = 'TUNWIRE_WITNESS_TEST';
/** Before each frame: the length of what it is called, its link type, and its own length. */
export const RECORD_HEADER_BYTES = 12;
