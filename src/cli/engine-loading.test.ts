/** SDKs are heavy: which modules a command loads, by the word of Node's own loader in a process of its own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { expect, onTestFinished, test } from 'vitest'

const main = new URL('main.ts', import.meta.url).pathname

const RECORDER = `
import { registerHooks } from 'node:module'
import { appendFileSync } from 'node:fs'
registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context)
    appendFileSync(process.env.LOADED, resolved.url + '\\n')
    return resolved
  },
})
`

/** Runs a command line. @returns its exit code, its errors, and every module that it loaded */
async function modulesOf(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; stderr: string; modules: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'signalbox-loading-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const recorder = join(folder, 'recorder.mjs')
  const loaded = join(folder, 'loaded.txt')
  writeFileSync(recorder, RECORDER)
  const child = spawn(process.execPath, ['--import', recorder, main, ...args], {
    env: { ...env, LOADED: loaded },
    cwd: folder,
  })
  let stderr = ''
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  const code = await new Promise<number | null>((done) => child.on('close', done))
  return { code, stderr, modules: readFileSync(loaded, 'utf8').split('\n') }
}

const heavy = (modules: readonly string[]): string[] =>
  modules.filter((url) =>
    /@aws-sdk|@smithy|@google-cloud|google-gax|grpc-js|\/drivers\/|turns\/service/.test(url),
  )

test('against a server no engine is loaded', async () => {
  const server = createServer((_, response) => response.end(JSON.stringify({ queues: [] })))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const { code, modules } = await modulesOf(['turn', 'list', '--url', url])
  expect(code).toBe(0)
  expect(modules.some((url) => url.endsWith('src/client/client.ts'))).toBe(true)
  expect(heavy(modules)).toEqual([])
})

test('only the engine that was chosen is loaded', async () => {
  const aws = {
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'a',
    AWS_SECRET_ACCESS_KEY: 'b',
    DYNAMODB_ENDPOINT_URL: 'http://127.0.0.1:1',
  }
  const { code, stderr, modules } = await modulesOf(['turn', 'list', '--backend', 'aws'], aws)
  expect([code, stderr.split('\n')]).toEqual([
    69,
    [expect.stringMatching(/^signalbox: cannot reach DynamoDB/), ''],
  ])
  expect(modules.some((url) => url.includes('@aws-sdk/client-dynamodb'))).toBe(true)
  expect(modules.filter((url) => /@google-cloud|google-gax/.test(url))).toEqual([])
})

test('a flag that cannot work is refused before anything is loaded', async () => {
  const { code, stderr, modules } = await modulesOf(['turn', 'list', '--backend', 'gcp'])
  expect([code, stderr]).toEqual([78, expect.stringMatching(/^signalbox: --gcp-project: missing; [^\n]*\n$/)])
  expect(heavy(modules)).toEqual([])
})

test('without a region it is one line, and nobody is asked', async () => {
  const nothing = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' }
  const { code, stderr } = await modulesOf(['turn', 'list', '--backend', 'aws'], nothing)
  expect([code, stderr]).toEqual([78, expect.stringMatching(/^signalbox: AWS_REGION: missing; [^\n]*\n$/)])
})
