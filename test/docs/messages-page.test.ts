/** docs/messages.md names everything that users of the message sidecar can say or see, so that it cannot fall behind the code. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sidecarCommand } from '../../src/cli/sidecar.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { root } from '../support/processes.ts'

const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const page = read('docs/messages.md')

/** What a pattern finds in files, each once. */
function found(pattern: RegExp, ...files: readonly string[]): string[] {
  return [...new Set(files.flatMap((file) => [...read(file).matchAll(pattern)].map(([, name = '']) => name)))]
}

const settings = 'src/cli/sidecar/settings.ts'
const client = 'examples/messages-client.ts'
const protos = ['proto/sqs/sqs_service.proto', 'proto/signalbox/messages/v1/messages.proto']

const [, consume = ''] = read('proto/signalbox/messages/v1/messages.proto').split('message ConsumeRequest')

const all: Readonly<Record<string, readonly string[]>> = {
  'flags of the sidecar': sidecarCommand({} as Terminal).options.map(({ long }) => long ?? ''),
  'variables of the sidecar': found(/'((?:APP|SIGNALBOX)_[A-Z_]+)'/g, settings),
  'variables of the example client': found(/number\('([A-Z]+)'/g, client),
  'flags of the commands': found(/\.option\(\s*'(--[a-z-]+)/g, 'src/messages/cli.ts'),
  'gRPC calls': found(/\brpc (\w+)\(/g, ...protos),
  'fields of Consume': [...consume.matchAll(/^ {2,4}(?:repeated |optional )?\w+ (\w+) = \d+;/gm)].map(
    ([, name = '']) => name,
  ),
  'HTTP routes': found(/\$\{ROOT\}(\/:queue(?:\/\w+)?)`/g, 'src/messages/http.ts').map((route) =>
    route.replace(':queue', '{queue}'),
  ),
  metrics: found(/name: '(signalbox_messages_\w+)'/g, 'src/messages/grpc/metrics.ts'),
  'what becomes of messages': found(/'(\w+)'/g, 'src/messages/grpc/metrics.ts').filter((name) =>
    /^(?:sent|received|redelivered|deleted|returned|lost)$/.test(name),
  ),
}

describe('docs/messages.md', () => {
  it.each(Object.entries(all))('names all %s', (_, names) => {
    expect(names).not.toEqual([])
    expect(names.filter((name) => !page.includes(name))).toEqual([])
  })

  it('names no flag that there is not', () => {
    const known = new Set([
      ...(all['flags of the sidecar'] ?? []),
      ...(all['flags of the commands'] ?? []),
      '--grpc-port',
    ])
    // What stands in blocks is run (documents.test.ts).
    const text = page.replaceAll(/^```[\s\S]*?^```$/gm, '')
    const named = [...text.matchAll(/(?<![\w-])(--[a-z][a-z-]+)/g)].map(([, flag = '']) => flag)
    expect([...new Set(named)].filter((flag) => !known.has(flag))).toEqual([])
  })
})
