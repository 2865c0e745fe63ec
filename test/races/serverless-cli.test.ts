/**
 * The command line and the library on cloud engines without a server, as real processes: every way to choose the engine ends
 * at the same queue, and what fails leaves nothing behind.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { killAgents, newHost, outcome, type Done } from '../support/agents.ts'
import { isAlive, root, run, signalbox, temporaryFolder, until } from '../support/processes.ts'
import { DATABASE, ENGINES, environment, openArena, PROJECT, type Arena } from './serverless/place.ts'

describe.each(ENGINES)('on %s', (engine) => {
  let arena: Arena
  /** What chooses the engine, as flags and as variables. */
  let flags: readonly string[]
  let env: Record<string, string>
  let variables: Record<string, string>
  beforeAll(async () => {
    arena = await openArena(engine)
    const { backend, table } = arena.place
    env = environment(arena.place)
    flags = ['--backend', backend, '--queue-table', table]
    variables = { ...env, SIGNALBOX_BACKEND: backend, SIGNALBOX_QUEUE_TABLE: table }
  })
  afterAll(async () => arena.close())
  afterEach(killAgents)

  const turn = (args: readonly string[], more: Record<string, string> = {}): Promise<Done> =>
    outcome(signalbox(['turn', ...args], { env: { ...env, ...more } }))

  it('hands the turn over from process to process, in order', async () => {
    const log = join(temporaryFolder('handover'), 'log')
    const work = (name: string): string =>
      `echo ${name} $SIGNALBOX_FENCE in >>${log}; sleep 1; echo ${name} out >>${log}`
    const short = ['--guard', 'off', '--ttl', '9s', '--stop-grace', '1s']
    const first = signalbox(['turn', 'run', 'deploy', ...flags, ...short, '--', 'sh', '-c', work('first')], {
      env,
    })
    await until('the first one works', () => first.err().includes('your turn'))
    const second = signalbox(['turn', 'run', 'deploy', ...short, '--', 'sh', '-c', work('second')], {
      env: { ...variables, SIGNALBOX_URL: 'http://127.0.0.1:1' },
    })
    await until('the second one waits', () => second.err().includes('waiting'))
    expect([await first.exited, await second.exited]).toEqual([0, 0])
    expect(readFileSync(log, 'utf8').trim().split('\n')).toEqual([
      'first 1 in',
      'first out',
      'second 2 in',
      'second out',
    ])
    const place =
      engine === 'DynamoDB' ? /asking DynamoDB table .* \(eu-west-1, http/ : /asking Firestore collection /
    expect([first.err(), second.err()]).toEqual([expect.stringMatching(place), expect.stringMatching(place)])
  })

  it('has an agent hold a turn that operators see, and leaves nothing behind', async () => {
    const host = newHost('http://127.0.0.1:1', variables)
    const { pid, member = '' } = await host.start('steps', '--guard', 'off')
    expect((await host.agent('wait')).out).toMatch(/^steps: your turn \(fence 1, /)
    const shown = JSON.parse((await turn(['show', 'steps', '--json', ...flags])).out) as { holders: object[] }
    expect(shown.holders).toMatchObject([{ id: member, fence: 1 }])
    expect((await turn(['pause', 'steps', '--reason', 'freeze', ...flags])).out).toBe('steps: now paused\n')
    expect((await turn(['show', 'steps', ...flags])).out).toMatch(/^steps: paused \([^)]+@[^)]+: freeze\)/)
    const stopped = await host.agent('stop')
    expect([stopped.code, stopped.out]).toEqual([0, 'steps: the turn was given back (fence 1)\n'])
    expect([isAlive(pid), readdirSync(host.folder)]).toEqual([false, []])
    expect((await turn(['history', 'steps', ...flags])).out).toMatch(/released/)
  })

  it('waits for the guard by default, and the agent waits on meanwhile', async () => {
    const host = newHost('http://127.0.0.1:1', variables)
    expect((await host.start('guarded')).state).toBe('waiting')
    const waited = await host.agent('wait', '--timeout', '30s')
    expect([waited.code, waited.out]).toEqual([0, expect.stringMatching(/waited [5-9]s\)/)])
    expect((await arena.items()).filter(({ partition }) => partition === 'guarded')).toHaveLength(1)
    expect((await host.agent('stop')).code).toBe(0)
    expect((await arena.items()).filter(({ partition }) => partition === 'guarded')).toEqual([])
  })

  it('says in one line what is wrong with the place, and leaves no agent', async () => {
    const host = newHost('http://127.0.0.1:1', env)
    const nowhere = engine === 'DynamoDB' ? ['--queue-table', 'not-there'] : ['--gcp-database', 'not-there']
    const place = ['--backend', arena.place.backend, ...nowhere]
    const started = await host.agent('start', 'away', ...place)
    expect([started.code, started.err]).toEqual([
      66,
      expect.stringMatching(/^signalbox: [^\n]*not-there[^\n]*\n$/),
    ])
    expect(readdirSync(host.folder)).toEqual([])
    const ran = await turn(['run', 'away', ...place, '--', 'true'])
    expect([ran.code, ran.err]).toEqual([66, expect.stringMatching(/not-there/)])
    const doctor = await turn(['doctor', ...place])
    expect([doctor.code, doctor.out]).toEqual([66, expect.stringMatching(/^fail {2}table .*not-there/m)])
  })

  it('is found in order by the doctor, who leaves nothing behind', async () => {
    const { code, out } = await turn(['doctor', '--json', '--queue', 'deploy'], variables)
    const { ok, checks } = JSON.parse(out) as { ok: boolean; checks: { check: string; status: string }[] }
    const watch = engine === 'Firestore' ? ['watch'] : []
    const all = ['put', 'get', 'list', 'version', 'check', ...watch, 'delete', 'clock', 'latency', 'guard']
    expect([code, ok, checks.map(({ check, status }) => [check, status])]).toEqual([
      0,
      true,
      ['configuration', 'credentials', 'table', ...all].map((check) => [check, 'ok']),
    ])
    const left = (await arena.items()).filter(({ partition }) => partition.startsWith('signalbox:doctor:'))
    expect(left).toEqual([])
  })

  it('is chosen in code by options', async () => {
    const { backend, table } = arena.place
    const where =
      backend === 'aws' ? { backend, table } : { backend, table, project: PROJECT, database: DATABASE }
    const script = `
      const { turns } = await import(${JSON.stringify(join(root, 'src/index.ts'))})
      const options = ${JSON.stringify({ queue: 'library', guard: false, ...where })}
      console.log(await turns.run(options, ({ fence }) => 'fence ' + fence))
      await using turn = await turns.open(options)
      console.log('fence ' + turn.fence)
    `
    const running = run(process.execPath, ['--input-type=module', '-e', script], {
      env: { PATH: process.env['PATH'], ...env },
    })
    expect([await running.exited, running.out(), running.err()]).toEqual([0, 'fence 1\nfence 2\n', ''])
  })
})
