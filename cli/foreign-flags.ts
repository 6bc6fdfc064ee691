/**
 * Flags that users of nc, curl, openssl, traceroute and tcpreplay type, and that are called otherwise here or are not there: what to do instead.
 * By verb; '' stands for all.
 */
export const INSTEAD: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  '': {
    '--proxy': 'there are no proxies: the stack is on the link itself',
    '-x': 'there are no proxies: the stack is on the link itself',
  },
  connect: {
    '-l': 'to wait for connections: tunwire listen PORT',
    '-U': 'there are no sockets of the file system',
  },
  listen: {
    '-l': 'tunwire listen does so without',
    '-p': 'the port stands alone: tunwire listen 8080',
  },
  get: {
    '-O': 'name the file: -o FILE',
    '--remote-name': 'name the file: -o FILE',
    '-u': "say it in a header: -H 'Authorization: Basic …'",
    '--user': "say it in a header: -H 'Authorization: Basic …'",
    '-A': "say it in a header: -H 'User-Agent: …'",
    '-e': "say it in a header: -H 'Referer: …'",
    '-b': "say it in a header: -H 'Cookie: …'",
    '-F': 'give the body as it is: -d @FILE',
    '-T': 'give the body as it is: -X PUT -d @FILE',
    '-S': 'errors are told always',
    '--retry': 'it asks once; the exit code says what happened',
  },
  resolve: {
    '-p': 'name servers are asked on port 53',
  },
  trace: {
    '-c': 'so many probes for each hop: -q NUMBER',
    '-i': 'the probes of a hop leave together; how long an answer may take: -W SECONDS',
    '-s': 'probes have the size that is needed to know them again',
    '-t': 'the first hop limit: -f HOPS',
    '-p': 'a TCP port: -T PORT',
    '-U': 'so it is without',
    '-z': 'the probes of a hop leave together; how long an answer may take: -W SECONDS',
  },
  dump: {
    '-A': 'with the bytes: -X',
    '-v': 'as objects, with all fields: --json; with the bytes: -X',
    '-G': 'rings of files are written by the verbs with a stack: -w FILE --ring 10,64mb',
    '-C': 'rings of files are written by the verbs with a stack: -w FILE --ring 10,64mb',
  },
};

/** What to do instead of a flag that the verb does not have; '': nobody knows. @param text commander's error */
export function insteadOf(verb: string, text: string): string {
  const [, flag = ''] = /unknown option '([^'=]+)/.exec(text) ?? [];
  const hint = INSTEAD[verb]?.[flag] ?? INSTEAD['']?.[flag];
  return hint === undefined ? '' : `(${hint})\n`;
}
