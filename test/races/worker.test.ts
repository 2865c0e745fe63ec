/**
 * `signalbox worker` and `serve --jobs` as processes: jobs come from a folder, through the owner's socket or a server at a distance; what is
 * killed is started again and its jobs with it; what is told to stop finishes what it has begun.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import {
  endProcesses,
  freePort,
  signalbox,
  startServer,
  temporaryFolder,
  until,
  type Running,
} from '../support/processes.ts'

const folder = join(import.meta.dirname, 'fixtures/jobs')
afterAll(endProcesses)

interface Place {
  readonly dataDir: string
  readonly notes: string
  readonly env: Readonly<Record<string, string>>
}

function place(): Place {
  const dataDir = join(temporaryFolder('worker'), 'data')
  const notes = join(temporaryFolder('notes'), 'notes.txt')
  return { dataDir, notes, env: { NOTES: notes, SIGNALBOX_DATA_DIR: dataDir } }
}

const linesOf = ({ notes }: Place): string[] =>
  existsSync(notes) ? readFileSync(notes, 'utf8').split('\n').slice(0, -1) : []

async function ask(here: Place, ...args: string[]): Promise<string> {
  const asked = signalbox(args, { env: here.env })
  if ((await asked.exited) !== 0) throw new Error(`${args.join(' ')}: ${asked.err()}`)
  return asked.out().trim()
}

async function enqueue(url: string, job: string, input: object): Promise<void> {
  const answer = await fetch(`${url}/api/v1/jobs/${job}/runs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ input }),
  })
  if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`)
}

function work(here: Place, ...more: string[]): Running {
  return signalbox(['worker', folder, '--log-format', 'json', '--metrics', 'off', ...more], {
    env: here.env,
  })
}

const isReady = (worker: Running): Promise<void> =>
  until('it is ready', () => worker.out().includes('worker is ready'))
const stateOf = async (here: Place, run: string): Promise<string> =>
  (JSON.parse(await ask(here, 'runs', 'show', run, '--json')) as { state: string }).state

it('runs the jobs of a folder, in several processes whose metrics are one', async () => {
  const here = place()
  const server = await startServer({ dataDir: here.dataDir })
  const port = await freePort()
  const worker = work(here, '--processes', '2', '--metrics', `127.0.0.1:${port}`)
  await until(
    'all are ready',
    async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.status === 200,
  )
  expect(await ask(here, 'job', 'list')).toMatch(/failing.*\n.*note.*\n.*plain.*\n.*slow/s)
  for (let i = 0; i < 20; i++) await enqueue(server.url, 'note', { text: `t${i}` })
  await until('20 lines are written', () => linesOf(here).length === 20)
  const failing = await ask(here, 'job', 'enqueue', 'failing')
  const plain = await ask(here, 'job', 'enqueue', 'plain')
  await until('the run is failed', async () => (await stateOf(here, failing)) === 'failed')
  expect(await stateOf(here, plain)).toBe('succeeded')
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  expect(metrics).toContain('dramatiq_messages_total{queue_name="notes",actor_name="note"} 20')
  expect(metrics).toContain('signalbox_jobs_total{queue="notes",job="failing",outcome="failed"} 2')
  worker.kill('SIGTERM')
  expect(await worker.exited).toBe(0)
  await server.stop()
})

it('starts a killed process again, whose job another attempt does', async () => {
  const here = place()
  const server = await startServer({ dataDir: here.dataDir })
  const worker = work(here, '--processes', '2')
  await isReady(worker)
  const run = await ask(here, 'job', 'enqueue', 'slow', '--input', '{"ms":3000}')
  await until('1 lines are written', () => linesOf(here).length === 1)
  process.kill(Number(linesOf(here)[0]?.split(' ').at(-1)), 'SIGKILL')
  await until('the run is succeeded', async () => (await stateOf(here, run)) === 'succeeded', 90_000)
  expect(linesOf(here).map((line) => line.split(' ')[1])).toEqual(['began', 'began', 'ended'])
  expect(worker.out()).toContain('it is started again')
  worker.kill('SIGTERM')
  expect(await worker.exited).toBe(0)
  await server.stop()
})

it('finishes what it has begun when it is told to stop, and gives back what does not end in time', async () => {
  const here = place()
  const server = await startServer({ dataDir: here.dataDir })
  const patient = work(here, '--grace', '60s')
  await isReady(patient)
  const short = await ask(here, 'job', 'enqueue', 'slow', '--input', '{"ms":2000}')
  await until('1 lines are written', () => linesOf(here).length === 1)
  patient.kill('SIGTERM')
  expect(await patient.exited).toBe(0)
  expect(await stateOf(here, short)).toBe('succeeded')

  const hasty = work(here, '--grace', '0s')
  await isReady(hasty)
  const long = await ask(here, 'job', 'enqueue', 'slow', '--input', '{"ms":25000}')
  await until('3 lines are written', () => linesOf(here).length === 3)
  hasty.kill('SIGTERM')
  expect(await hasty.exited).toBe(0)
  const shown = JSON.parse(await ask(here, 'runs', 'show', long, '--json')) as {
    state: string
    attempt: number
  }
  expect(shown).toMatchObject({ state: 'queued', attempt: 0 })
  await server.stop()
})

it('leaves no process behind when it is told to stop twice', async () => {
  const here = place()
  const server = await startServer({ dataDir: here.dataDir })
  const worker = work(here, '--processes', '2', '--grace', '60s')
  await isReady(worker)
  await ask(here, 'job', 'enqueue', 'slow', '--input', '{"ms":20000}')
  await until('1 lines are written', () => linesOf(here).length === 1)
  worker.kill('SIGTERM')
  await until('it drains', () => worker.out().includes('draining'))
  worker.kill('SIGTERM')
  expect(await worker.exited).toBe(143) // and nobody has its output open any more
  expect(linesOf(here).map((line) => line.split(' ')[1])).toEqual(['began'])
  await server.stop()
})

it('works through a server at a distance, with a token', async () => {
  const here = place()
  const server = await startServer({ dataDir: here.dataDir, args: ['--auth', 'required'] })
  const token = (
    JSON.parse(await ask(here, 'token', 'create', '--name', 'worker', '--role', 'operator', '--json')) as {
      secret: string
    }
  ).secret
  const far: Place = {
    ...here,
    env: { NOTES: here.notes, SIGNALBOX_URL: server.url, SIGNALBOX_TOKEN: token },
  }
  const worker = work(far)
  await isReady(worker)
  await ask(far, 'job', 'enqueue', 'note', '--input', '{"text":"far"}')
  await until('1 lines are written', () => linesOf(here).length === 1)
  worker.kill('SIGTERM')
  expect(await worker.exited).toBe(0)
  await server.stop()
})

it('belongs to a server that is started with --jobs, and stops before it', async () => {
  const here = place()
  const server = await startServer({ dataDir: here.dataDir, args: ['--jobs', folder], env: here.env })
  let run = ''
  await until('its jobs are known', async () => {
    run = await ask(here, 'job', 'enqueue', 'slow', '--input', '{"ms":1500}').catch(() => '')
    return run !== ''
  })
  await until('1 lines are written', () => linesOf(here).length === 1)
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toContain('dramatiq_messages_inprogress{queue_name="slow",actor_name="slow"} 1')
  await server.stop()
  expect(linesOf(here).map((line) => line.split(' ')[1])).toEqual(['began', 'ended'])
  expect(run).toMatch(/^slow:/)
})

it('says what its jobs need and do not get', async () => {
  const here = place()
  const server = await startServer({ dataDir: here.dataDir })
  const broken = join(import.meta.dirname, 'fixtures/jobs-broken/setup.ts')
  const worker = signalbox(['worker', broken, '--metrics', 'off'], { env: here.env })
  expect(await worker.exited).toBe(78)
  expect(worker.err()).toBe(
    `signalbox: ${broken}: deps of defineWorker failed: no database here; no job was begun, start the worker again when that is mended\n`,
  )
  await server.stop()
})

it('can be told to stop while it waits for a server', async () => {
  const port = await freePort()
  const worker = work(place(), '--wait', '10m', '--metrics', `127.0.0.1:${port}`)
  await until('it is up', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    return answer?.status === 503
  })
  worker.kill('SIGTERM')
  expect(await worker.exited).toBe(0)
})

it.each([
  [['nosuch'], 64, 'nosuch: no such file or folder; name the modules of your jobs'],
  [[join(folder, 'setup.ts'), '--processes', '2'], 64, 'no module exports what defineJob made'],
  [[folder, '--processes', '0'], 64, "--processes: '0' must be a whole number from 1 to 256"],
  [[folder, '--metrics', 'here'], 64, "--metrics: 'here' is not host:port"],
  [[folder, '--metrics', 'off', '--wait', '0s'], 69, 'start the server with'],
])('says in one line what is wrong: worker %j', async (args, code, line) => {
  const { env } = place()
  const worker = signalbox(['worker', ...args], { env })
  expect(await worker.exited).toBe(code)
  expect(worker.err()).toContain(line)
  expect(worker.err().trim().split('\n')).toHaveLength(1)
})
