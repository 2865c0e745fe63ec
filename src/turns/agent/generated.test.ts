import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../../..')
const code = 'src/turns/agent/generated/comms/queue_service.ts'

test('the generated code is that of the proto file (else: npm run proto)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-proto-'))
  try {
    const buf = join(root, 'node_modules/.bin/buf')
    execFileSync(buf, ['generate', '--output', folder], { cwd: root, stdio: 'pipe' })
    expect(readFileSync(join(folder, code), 'utf8')).toBe(readFileSync(join(root, code), 'utf8'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 60_000)
