/**
 * The commands in the documents work as printed: every `sh` block is run, in order, against a server that was started as the README says.
 * Exceptions carry their reason. `8080` and `50052` become the ports of the test's server, `50051` and `50080` those of its
 * message sidecar; data directories are temporary ones.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTable, namedEngine, type DynamodbEngine } from '../support/engines/dynamodb.ts'
import { startDynoxide } from '../support/engines/dynoxide.ts'
import { cli, freePort, root, run, temporaryFolder, until, type Running } from '../support/processes.ts'

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'docs/turns.md',
  'docs/leases.md',
  'docs/messages.md',
  'docs/deploy-messages.md',
  'docs/jobs.md',
  'docs/schedules.md',
  'docs/notifications.md',
  'docs/schedules-eventbridge.md',
  'docs/voting.md',
  'docs/turns-agent.md',
  'docs/turns-serverless.md',
  'docs/deploy-turns.md',
  'actions/turn/README.md',
  'docs/operations.md',
  'docs/security.md',
  'docs/performance.md',
]

/** The message sidecar of the documents, which runs throughout. */
const SIDECAR = 'npx signalbox sidecar --queue orders --dead-letter orders-dead --http-port 50080'

/** The voting service of the documents, which runs throughout. */
const VOTING = 'npx signalbox voting --dev --port 8081'

/** The worker of the documents, which runs throughout. */
const WORKER = 'npx signalbox worker examples/jobs --metrics 127.0.0.1:9191'

/** Blocks that are not run here, and why. */
const exceptions: Readonly<Record<string, string>> = {
  'npm ci && npm start': 'beforeAll runs `npm start`; the installation is what this test stands on',
  'npm ci\nnpm run check': 'runs this very test',
  'npm run bench:turns': 'takes minutes; run by hand',
  'npm run bench:messages': 'the same',
  'npm run bench:jobs -- --rounds 3': 'the same, and needs Redis and PostgreSQL',
  [SIDECAR]: 'beforeAll runs it',
  [VOTING]: 'beforeAll runs it',
  [WORKER]: 'beforeAll runs it',
  'npx signalbox voting worker': 'works until it is stopped; test/races runs it',
}

function blocks(document: string): string[] {
  const text = readFileSync(join(root, document), 'utf8')
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block.trim())
}

let server: Running
let env: Record<string, string | undefined>
let port: number
let sidecar: Running
let voting: Running
let worker: Running
/** Ports of the documents, and those that stand for them here. */
let ports: Readonly<Record<string, number>>
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
  const grpcPort = await freePort()
  ports = {
    '8080': port,
    '8081': await freePort(),
    '9191': await freePort(),
    '50051': await freePort(),
    '50052': grpcPort,
    '50080': await freePort(),
  }
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(SIGNALBOX_|npm_|INIT_CWD)/.test(name)),
  )
  env = {
    ...clean,
    ...(await cloud()),
    SIGNALBOX_DATA_DIR: temporaryFolder('docs'),
    PORT: String(port),
    SIGNALBOX_SERVER_GRPC_PORT: String(grpcPort),
    // docs/leases.md: any provider, granted at the first call.
    SIGNALBOX_LEASES_ANY_REPOSITORY: 'true',
    SIGNALBOX_LEASES_STABILISATION_WINDOW: '0s',
  }
  server = run('npm', ['start'], { cwd: root, env, detached: true })
  const [, , ...flags] = here(`${SIDECAR} --port 50051`).split(' ')
  sidecar = run(process.execPath, [cli, ...flags], {
    cwd: root,
    env: { ...env, SIGNALBOX_DATA_DIR: temporaryFolder('docs-sidecar') },
    detached: true,
  })
  await until('the sidecar is ready', () => {
    if (sidecar.child.exitCode !== null) throw new Error(`the sidecar ended: ${sidecar.err()}`)
    return sidecar.out().includes('is ready')
  })
  await until('npm start serves', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    return answer?.status === 200
  })
  env['VOTING_URL'] = `http://127.0.0.1:${ports['8081']}` // examples/voting.sh
  // Beside the server, on its data.
  const [, ...votingFlags] = VOTING.split(' ')
  voting = run('npx', votingFlags.map(here), {
    cwd: root,
    env,
    detached: true,
  })
  await until('the voting service is ready', () => {
    if (voting.child.exitCode !== null)
      throw new Error(`the voting service ended: ${voting.out()}${voting.err()}`)
    return voting.out().includes('is ready')
  })
  const [, , ...workerFlags] = here(WORKER).split(' ')
  worker = run(process.execPath, [cli, ...workerFlags], { cwd: root, env, detached: true })
  await until('the worker is ready', () => {
    if (worker.child.exitCode !== null) throw new Error(`the worker ended: ${worker.out()}${worker.err()}`)
    return worker.out().includes('is ready')
  })
}, 180_000)
afterAll(async () => {
  for (const each of [worker, voting, server, sidecar]) {
    process.kill(-each.pid, 'SIGTERM')
    await each.exited
  }
  await dynamodb.stop()
})

/** A text of the documents with the ports of this test. */
function here(text: string): string {
  return Object.entries(ports).reduce(
    (said, [usual, free]) => said.replaceAll(new RegExp(String.raw`\b${usual}\b`, 'g'), String(free)),
    text,
  )
}

/** What a document has its readers export in a block of its own, for all that follows. */
function exported(document: string): Record<string, string> {
  const alone = blocks(document).map((block) => /^export (\w+)=(\S+)$/.exec(block))
  return Object.fromEntries(
    alone.flatMap((match) => (match === null ? [] : [[match[1], here(match[2] ?? '')]])),
  )
}

describe.each(documents)('%s', (document) => {
  const all = blocks(document)
  it('has commands to run, or none at all', () => expect(existsSync(join(root, document))).toBe(true))

  it.each(all.filter((block) => exceptions[block] === undefined))('%s', async (block) => {
    const shell = run(
      'bash',
      ['-euo', 'pipefail', '-c', `curl() { command curl --fail-with-body "$@"; }\n${here(block)}`],
      { cwd: root, env: { ...env, ...exported(document) } },
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
