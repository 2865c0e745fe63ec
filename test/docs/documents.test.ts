/**
 * The commands in the documents work as printed: every `sh` block is run, in order, against a server that was started as the README says.
 * Exceptions carry their reason. `8080` becomes the test server's port; the data directory is a temporary one.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTable, namedEngine, type DynamodbEngine } from '../support/engines/dynamodb.ts'
import { startDynoxide } from '../support/engines/dynoxide.ts'
import { freePort, root, run, temporaryFolder, until, type Running } from '../support/processes.ts'

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'docs/turns.md',
  'docs/leases.md',
  'docs/turns-agent.md',
  'docs/turns-serverless.md',
  'docs/deploy-turns.md',
  'actions/turn/README.md',
  'docs/operations.md',
  'docs/security.md',
  'docs/performance.md',
]

/** Blocks that are not run here, and why. */
const exceptions: Readonly<Record<string, string>> = {
  'npm ci && npm start': 'beforeAll runs `npm start`; the installation is what this test stands on',
  'npm ci\nnpm run check': 'runs this very test',
  'npm run bench:turns': 'takes minutes; run by hand',
}

function blocks(document: string): string[] {
  const text = readFileSync(join(root, document), 'utf8')
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block.trim())
}

let server: Running
let env: Record<string, string | undefined>
let port: number
let dynamodb: DynamodbEngine

/** What the AWS SDK needs for `--backend aws`: an emulator with the table. */
async function cloud(): Promise<Record<string, string>> {
  dynamodb = namedEngine() ?? (await startDynoxide())
  const { name } = await createTable(dynamodb)
  const { accessKeyId = '', secretAccessKey = '' } = dynamodb.credentials ?? {}
  return {
    AWS_REGION: dynamodb.region,
    ...(accessKeyId === '' ? {} : { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }),
    DYNAMODB_ENDPOINT_URL: dynamodb.endpoint,
    SIGNALBOX_QUEUE_TABLE: name,
  }
}

beforeAll(async () => {
  port = await freePort()
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(SIGNALBOX_|npm_|INIT_CWD)/.test(name)),
  )
  env = {
    ...clean,
    ...(await cloud()),
    SIGNALBOX_DATA_DIR: temporaryFolder('docs'),
    PORT: String(port),
    // docs/leases.md: any provider, granted at the first call.
    SIGNALBOX_LEASES_ANY_REPOSITORY: 'true',
    SIGNALBOX_LEASES_STABILISATION_WINDOW: '0s',
  }
  server = run('npm', ['start'], { cwd: root, env, detached: true })
  await until('npm start serves', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    return answer?.status === 200
  })
})
afterAll(async () => {
  process.kill(-server.pid, 'SIGTERM')
  await server.exited
  await dynamodb.stop()
})

describe.each(documents)('%s', (document) => {
  const all = blocks(document)
  it('has commands to run, or none at all', () => expect(existsSync(join(root, document))).toBe(true))

  it.each(all.filter((block) => exceptions[block] === undefined))('%s', async (block) => {
    const shell = run(
      'bash',
      [
        '-euo',
        'pipefail',
        '-c',
        `curl() { command curl --fail-with-body "$@"; }\n${block}`.replaceAll(
          '127.0.0.1:8080',
          `127.0.0.1:${port}`,
        ),
      ],
      { cwd: root, env },
    )
    shell.child.stdin?.end()
    const code = await shell.exited
    expect(code, `${shell.out()}\n${shell.err()}`).toBe(0)
  })

  it('links to what exists', () => {
    const text = readFileSync(join(root, document), 'utf8')
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map(([, to = '']) => to)
    const missing = links.filter((to) => !existsSync(resolve(root, dirname(document), to)))
    expect(missing).toEqual([])
  })
})

it.each(readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.sh')))(
  'examples/%s runs',
  async (name) => {
    const url = `http://127.0.0.1:${port}`
    const example = run('sh', [join('examples', name)], { cwd: root, env: { ...env, SIGNALBOX_URL: url } })
    example.child.stdin?.end()
    expect(await example.exited, `${example.out()}\n${example.err()}`).toBe(0)
    expect(example.out()).not.toBe('')
  },
)

it('has no exception that no document needs', () => {
  const all = new Set(documents.flatMap(blocks))
  expect(Object.keys(exceptions).filter((block) => !all.has(block))).toEqual([])
})
