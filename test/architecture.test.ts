/**
 * The arrows of the house: kernel ← ports ← rules ← services ← faces ← server, cli. Each file may import only what its room
 * allows; adding a driver or a capability needs no change here.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const root = resolve(import.meta.dirname, '..')
const src = join(root, 'src')

const capabilities = new Set([
  'turns',
  'leases',
  'messages',
  'runs',
  'jobs',
  'schedules',
  'voting',
  'notifications',
])
/** Capabilities that stand on others: messages ← jobs, runs ← jobs ← schedules, voting. */
const standsOn: Readonly<Record<string, readonly string[]>> = {
  jobs: ['messages', 'runs'],
  schedules: ['runs', 'jobs'],
  voting: ['messages', 'runs', 'jobs'],
}
/** The ledger of votes in tables of its own, which is a driver that only voting knows. */
const VOTING_TABLES = /^voting\/ledger\/dynamodb\//
/** Files of a capability that touch the outside: its faces and what they run. */
const face = /^(http|grpc|cli)(\.|$|-)|^agent$/

/** The vocabulary of tokens and audit, which belong to the server itself. */
const AUTH_API = 'server/auth/api.ts'

interface Import {
  readonly from: string
  readonly to: string
}

function files(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join(folder, name))
}

function imports(file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  const found = text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)'([^'\n]+)'/gm)
  return [...found].map(([, to = '']) => ({
    from: relative(src, file),
    to: to.startsWith('.') ? relative(src, resolve(dirname(file), to)) : to,
  }))
}

/** The first two parts of a path under src, which name the room. */
function room(path: string): { readonly top: string; readonly inner: string } {
  const [top = '', inner = ''] = path.split('/')
  return { top, inner }
}

/** Why this import may not be; undefined when it may. */
function objection({ from, to }: Import): string | undefined {
  const here = room(from)
  const testing = from.includes('/testing/') || from.includes('/conformance/') || from.includes('/fixtures/')
  if (!to.includes('/') || to.startsWith('node:') || to.startsWith('@') || !to.endsWith('.ts')) {
    return VOTING_TABLES.test(from) ? undefined : objectionToPackage(here.top, here.inner, to, testing)
  }
  const there = room(to)
  const allowed: Record<string, (top: string) => boolean> = {
    kernel: (top) => top === 'kernel',
    ports: (top) => top === 'kernel' || top === 'ports',
    supervisor: (top) => top === 'kernel' || top === 'supervisor',
    drivers: (top) => ['kernel', 'ports', 'drivers'].includes(top),
    client: (top) => top === 'kernel' || top === 'client' || capabilities.has(top) || to === AUTH_API,
    server: () => true,
    cli: () => true,
    'index.ts': () => true,
    'jobs-entry.ts': () => true,
  }
  if (capabilities.has(here.top)) {
    if (testing) return undefined
    const own = there.top === here.top
    const base = there.top === 'kernel' || there.top === 'ports'
    const cliContext = here.inner.startsWith('cli') && ['cli', 'supervisor'].includes(there.top)
    const foundation = standsOn[here.top]?.includes(there.top) === true && !face.test(there.inner)
    const ownTables = VOTING_TABLES.test(from) && to.startsWith('drivers/shared/')
    if (!own && !base && !cliContext && !foundation && !ownTables)
      return 'a capability knows only kernel, ports, itself and what it stands on'
    if (own && face.test(there.inner) && !face.test(here.inner))
      return 'rules and services do not know their faces'
    return undefined
  }
  if (here.top === 'drivers' && there.top === 'drivers' && !testing) {
    const shared = there.inner === here.inner || there.inner === 'shared' || here.inner === 'conformance'
    return shared ? undefined : 'a driver does not know another driver'
  }
  if (here.top === 'client' && capabilities.has(there.top) && !['api.ts'].includes(there.inner)) {
    return 'the client knows a capability by its api.ts'
  }
  return (allowed[here.top]?.(there.top) ?? false) ? undefined : `${here.top} may not import ${there.top}`
}

function objectionToPackage(top: string, inner: string, name: string, testing: boolean): string | undefined {
  if (testing) return undefined
  const pure = top === 'kernel' || top === 'ports' || (capabilities.has(top) && !face.test(inner))
  const allowedInPure = ['zod', 'node:crypto', '@standard-schema/spec']
  if (pure && !allowedInPure.includes(name))
    return 'pure code imports no package and no part of Node but zod and node:crypto'
  return undefined
}

describe('the architecture', () => {
  const all = files(src)

  it('is looked at as a whole', () => {
    expect(all.length).toBeGreaterThan(30)
  })

  it('has every import point along the arrows', () => {
    const objections = all
      .flatMap(imports)
      .map((i) => ({ ...i, why: objection(i) }))
      .filter((i) => i.why !== undefined)
      .map((i) => `${i.from} imports ${i.to}: ${i.why}`)
    expect(objections).toEqual([])
  })

  it('objects to what it should object to', () => {
    expect(objection({ from: 'turns/rules.ts', to: 'drivers/sqlite/index.ts' })).toBeDefined()
    expect(objection({ from: 'turns/service.ts', to: 'turns/http.ts' })).toBeDefined()
    expect(objection({ from: 'turns/rules.ts', to: 'fastify' })).toBeDefined()
    expect(objection({ from: 'drivers/sqlite/store.ts', to: 'turns/api.ts' })).toBeDefined()
    expect(objection({ from: 'drivers/sqlite/store.ts', to: 'drivers/memory/index.ts' })).toBeDefined()
    expect(objection({ from: 'kernel/clock.ts', to: 'ports/store.ts' })).toBeDefined()
    expect(objection({ from: 'client/turns.ts', to: 'turns/service.ts' })).toBeDefined()
    expect(objection({ from: 'client/access.ts', to: 'server/auth/tokens.ts' })).toBeDefined()
    expect(objection({ from: 'turns/service.ts', to: 'supervisor/supervise.ts' })).toBeDefined()
    expect(objection({ from: 'supervisor/supervise.ts', to: 'turns/api.ts' })).toBeDefined()
    expect(objection({ from: 'runs/service.ts', to: 'jobs/worker.ts' })).toBeDefined()
    expect(objection({ from: 'jobs/worker.ts', to: 'messages/grpc/server.ts' })).toBeDefined()
    expect(objection({ from: 'voting/service.ts', to: 'drivers/shared/gate.ts' })).toBeDefined()
    expect(objection({ from: 'notifications/service.ts', to: 'runs/state.ts' })).toBeDefined()
    expect(objection({ from: 'notifications/courier.ts', to: 'nodemailer' })).toBeDefined()
    expect(objection({ from: 'jobs/worker.ts', to: 'messages/consumer.ts' })).toBeUndefined()
    expect(objection({ from: 'server/serve.ts', to: 'turns/service.ts' })).toBeUndefined()
  })
})
