/** The bundles as they are committed: whole, current, with their licences. */
import { readdirSync, readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { builtinModules } from 'node:module'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { root, run, startServer } from '../support/processes.ts'
import { actionFolder } from './action-folder.ts'
import { Job, killJobs } from './runner.ts'

afterEach(killJobs)

it('is what the sources make', async () => {
  const check = run(process.execPath, [join(root, 'tools/build-actions.mjs'), '--check'], { cwd: root })
  expect([await check.exited, check.err()]).toEqual([0, ''])
})

describe.each(['turn', 'lease'] as const)('%s', (name) => {
  const { path, file } = actionFolder(name)
  const dist = join(path, 'dist')
  const modules = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((module) =>
    module.endsWith('.mjs'),
  )
  const textOf = (module: string): string => readFileSync(join(dist, module), 'utf8')

  it('imports nothing but Node and itself', () => {
    // One package colours its debug output by another's leave, if that is there.
    const known = new Set([...builtinModules, 'supports-color'])
    const foreign = modules.flatMap((module) => {
      const text = textOf(module)
      const static_ = [...text.matchAll(/^(?:import|export)\b[^'"\n]*?(?:from )?["']([^"']+)["'];?$/gm)]
      const lazy = [...text.matchAll(/\b(?:import|__require)\(["']([^"']+)["']\)/g)]
      return [...static_, ...lazy]
        .map(([, to = '']) => to)
        .filter((to) => !to.startsWith('.') && !to.startsWith('node:') && !known.has(to))
        .map((to) => `${module} imports ${to}`)
    })
    expect(foreign).toEqual([])
    expect(modules.length).toBeGreaterThan(2)
  })

  it('says where it came from in no path of a machine', () => {
    expect(modules.filter((module) => textOf(module).includes(root))).toEqual([])
  })

  it('carries the licence of every package that is in it', () => {
    const text = modules.map(textOf).join('\n')
    const regions = text.matchAll(/^\/\/ (?:#region )?(?:.*\/)?node_modules\/((?:@[^/\s]+\/)?[^/\s]+)\//gm)
    const packages = new Set([...regions].map(([, found = '']) => found))
    expect(packages.size).toBeGreaterThan(2)
    const licences = readFileSync(join(dist, 'licenses.txt'), 'utf8')
    expect([...packages].filter((found) => !new RegExp(`^${found} \\d`, 'm').test(licences))).toEqual([])
  })

  it('starts by itself, and ends whatever became of the job', () => {
    expect(file.runs).toEqual({
      using: 'node24',
      main: 'dist/main.mjs',
      post: 'dist/post.mjs',
      'post-if': 'always()',
    })
  })

  it('says in its README what action.yml says: each input with its default, each output', () => {
    const readme = readFileSync(join(root, 'actions', name, 'README.md'), 'utf8')
    const rows = [...readme.matchAll(/^\| `([\w-]+)` \|(?: ([^|]*?) \|)?/gm)].map(
      ([, row = '', usual = '']) => [row, usual],
    )
    const told = new Map(rows.map(([row = '', usual = '']) => [row, usual]))
    const wrong = Object.entries(file.inputs).flatMap(([input, { default: usual = '' }]) => {
      const says = told.get(input)
      const literal = usual !== '' && !usual.startsWith('${{') && !/^(?:latest)$/.test(usual)
      return says === undefined || (literal && says !== `\`${usual}\``) ? [`${input}: ${says}`] : []
    })
    expect(wrong).toEqual([])
    expect(Object.keys(file.outputs).filter((output) => !told.has(output))).toEqual([])
  })
})

it('has the inputs and defaults of the reference for turns', () => {
  const { file } = actionFolder('turn')
  const defaults = Object.fromEntries(
    Object.entries(file.inputs).map(([input, { default: usual }]) => [input, usual]),
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
  expect(Object.keys(file.outputs)).toEqual(['queue', 'fence', 'position-at-join', 'waited-seconds'])
})

it('has the inputs and outputs of both generations of the reference for leases', () => {
  const { file } = actionFolder('lease')
  expect(file.inputs).toMatchObject({
    endpoint: { default: '' },
    lease_service_url: { default: '' },
    auth: { default: '' },
    release_with_status: { default: '' },
  })
  expect(Object.keys(file.outputs)).toEqual(
    expect.arrayContaining(['result', 'status', 'stacked_pull_requests']),
  )
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
