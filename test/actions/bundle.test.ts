/** The bundle as it is committed: whole, current, with its licences. */
import { readdirSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { root, run, startServer } from '../support/processes.ts'
import { actionFile, actionPath, Job, killJobs } from './runner.ts'

const dist = join(actionPath, 'dist')
const modules = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.mjs'),
)

afterEach(killJobs)

it('is what the sources make', async () => {
  const check = run(process.execPath, [join(root, 'tools/build-actions.mjs'), '--check'], { cwd: root })
  expect([await check.exited, check.err()]).toEqual([0, ''])
})

it('imports nothing but Node and itself', () => {
  // One package colours its debug output by another's leave, if that is there.
  const known = new Set([...builtinModules, 'supports-color'])
  const foreign = modules.flatMap((name) => {
    const text = readFileSync(join(dist, name), 'utf8')
    const static_ = [...text.matchAll(/^(?:import|export)\b[^'"\n]*?(?:from )?["']([^"']+)["'];?$/gm)]
    const lazy = [...text.matchAll(/\b(?:import|__require)\(["']([^"']+)["']\)/g)]
    return [...static_, ...lazy]
      .map(([, to = '']) => to)
      .filter((to) => !to.startsWith('.') && !to.startsWith('node:') && !known.has(to))
      .map((to) => `${name} imports ${to}`)
  })
  expect(foreign).toEqual([])
  expect(modules.length).toBeGreaterThan(5)
})

it('says where it came from in no path of a machine', () => {
  const named = modules.filter((name) => readFileSync(join(dist, name), 'utf8').includes(root))
  expect(named).toEqual([])
})

it('carries the licence of every package that is in it', () => {
  const text = modules.map((name) => readFileSync(join(dist, name), 'utf8')).join('\n')
  const regions = text.matchAll(/^\/\/ (?:#region )?(?:.*\/)?node_modules\/((?:@[^/\s]+\/)?[^/\s]+)\//gm)
  const packages = new Set([...regions].map(([, name = '']) => name))
  expect(packages.size).toBeGreaterThan(5)
  const licences = readFileSync(join(dist, 'licenses.txt'), 'utf8')
  const missing = [...packages].filter((name) => !new RegExp(`^${name} \\d`, 'm').test(licences))
  expect(missing).toEqual([])
})

it('has the inputs and defaults of the reference, and starts by itself', () => {
  const defaults = Object.fromEntries(
    Object.entries(actionFile.inputs).map(([name, { default: usual }]) => [name, usual]),
  )
  expect(defaults).toMatchObject({
    action: '',
    'queue-name': '',
    'queue-table': 'github-actions-dynamo-q-queue',
    backend: 'aws',
    'gcp-project': '',
    'gcp-database': 'github-dynamoq',
    version: 'latest',
    'log-level': 'info',
  })
  expect(Object.keys(actionFile.outputs)).toEqual(['queue', 'fence', 'position-at-join', 'waited-seconds'])
  expect(actionFile.runs).toEqual({
    using: 'node24',
    main: 'dist/main.mjs',
    post: 'dist/post.mjs',
    'post-if': 'always()',
  })
})

const isolates = spawnSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up']).status === 0

it.runIf(isolates)('downloads nothing: takes a turn where there is no network at all', async () => {
  const server = await startServer()
  const job = new Job({ SIGNALBOX_DATA_DIR: server.dataDir }, { offline: true })
  const reach = await job.run(`curl --max-time 5 --silent ${server.url}/readyz`).done
  expect(reach.outcome).toBe('failure')
  const main = await job.uses({ with: { 'queue-name': 'offline', backend: 'server' } }).done
  expect(main).toMatchObject({ outcome: 'success', annotations: [] })
  expect(await job.end()).toMatchObject([{ log: 'offline: the turn was given back (fence 1)\n' }])
  await server.stop()
})
