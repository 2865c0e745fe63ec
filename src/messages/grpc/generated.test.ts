import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../../..')
const generated = 'src/messages/grpc/generated'

test('the generated code is that of the proto files (else: npm run proto)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-proto-'))
  try {
    const buf = join(root, 'node_modules/.bin/buf')
    const generate = ['generate', '--template', 'buf.gen.messages.yaml', '--output', folder]
    execFileSync(buf, generate, { cwd: root, stdio: 'pipe' })
    for (const file of ['sqs/sqs_service.ts', 'signalbox/messages/v1/messages.ts', 'descriptors.ts']) {
      const read = (where: string): string => readFileSync(join(where, generated, file), 'utf8')
      expect(read(folder)).toBe(read(root))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 60_000)
