import { describe, expect, it } from 'vitest'
import {
  allows,
  covers,
  nameFilter,
  nouns,
  roles,
  scopeProblem,
  type Access,
  type Principal,
  type Role,
} from './access.ts'

const caller = (role: Role, ...scopes: string[]): Principal => ({ name: 'ci', kind: 'token', role, scopes })
const join: Access = { role: 'operator', noun: 'turns', param: 'queue' }
const list: Access = { role: 'viewer', noun: 'turns', filtered: true }
const all: Access = { role: 'viewer', noun: 'turns' }

describe('a role', () => {
  it.each(roles.flatMap((has) => roles.map((needs) => [has, needs] as const)))(
    '%s, where %s is needed',
    (has, needs) => {
      const enough = roles.indexOf(has) >= roles.indexOf(needs)
      expect(allows(caller(has), { ...join, role: needs }, 'deploy')).toBe(enough)
    },
  )
})

describe('a scope', () => {
  it.each<[scope: string, queue: string, allowed: boolean]>([
    ['turns:deploy', 'deploy', true],
    ['turns:deploy', 'deploy2', false],
    ['turns:deploy', 'Deploy', false],
    ['turns:deploy', 'xdeploy', false],
    ['turns:staging/*', 'staging/a', true],
    ['turns:staging/*', 'staging/a/b', true],
    ['turns:staging/*', 'staging/', true],
    ['turns:staging/*', 'staging', false],
    ['turns:staging/*', 'prod/staging/a', false],
    ['turns:a.c', 'abc', false],
    ['turns:*', 'anything/at:all@1', true],
    ['turns:*-prod', 'a-prod', true],
    ['turns:*-prod', 'a-prod-2', false],
    ['turns:a*b*c', 'a1b2c', true],
    ['turns:a*b*c', 'abc', true],
    ['turns:a*b*c', 'acb', false],
    ['turns:ab*ba', 'aba', false],
    ['turns:ab*b*ba', 'abba', false],
    ['turns:ab*b*ba', 'abbba', true],
    ['leases:*', 'deploy', false],
    ['turnsx:deploy', 'deploy', false],
  ])('%s and the queue %s: %s', (scope, queue, allowed) => {
    expect(allows(caller('admin', scope), join, queue)).toBe(allowed)
    expect(nameFilter(caller('admin', scope), 'turns')(queue)).toBe(allowed)
  })

  it('is one of several; none at all means everything', () => {
    expect(allows(caller('operator', 'turns:a', 'turns:b'), join, 'b')).toBe(true)
    expect(allows(caller('operator'), join, 'b')).toBe(true)
    expect(nameFilter(caller('viewer'), 'leases')('x')).toBe(true)
  })

  it('for some names opens filtered lists, but nothing that concerns all', () => {
    expect(allows(caller('viewer', 'turns:a'), list)).toBe(true)
    expect(allows(caller('viewer', 'leases:*'), list)).toBe(false)
    expect(allows(caller('viewer', 'turns:a'), all)).toBe(false)
    expect(allows(caller('viewer', 'turns:*'), all)).toBe(true)
  })

  it('refuses a call whose name is missing', () => {
    expect(allows(caller('admin', 'turns:a*'), join, undefined)).toBe(false)
  })

  it('is matched quickly, whatever the pattern', () => {
    const scope = `turns:${'a*'.repeat(60)}b`
    const started = process.cpuUsage()
    for (let i = 0; i < 1_000; i++) allows(caller('viewer', scope), join, 'a'.repeat(128))
    expect(process.cpuUsage(started).user).toBeLessThan(2_000_000)
  })

  it.each(['turns:deploy', 'turns:staging/*', 'turns:*', 'messages:a*b', 'server:*', 'leases:a:b@c'])(
    '%s is well formed',
    (scope) => expect(scopeProblem(scope)).toBeUndefined(),
  )

  it.each([
    '',
    '*',
    'turns',
    'turns:',
    ':x',
    '*:*',
    'turn:x',
    'TURNS:x',
    'turns:a b',
    'turns:**',
    'server:x',
  ])('%j is not', (scope) => expect(scopeProblem(scope)).toMatch(/^is not a scope; /))
})

describe('rights that are handed on', () => {
  it.each<[granted: string[], wanted: string[], covered: boolean]>([
    [[], [], true],
    [[], ['turns:*'], true],
    [['turns:*'], [], false],
    [['turns:*'], ['turns:a/*', 'turns:b'], true],
    [['turns:a/*'], ['turns:a/b/*'], true],
    [['turns:a/*'], ['turns:a*'], false],
    [['turns:a/*'], ['turns:*'], false],
    [['turns:a'], ['turns:a', 'leases:a'], false],
    [nouns.map((noun) => `${noun}:*`), ['jobs:x'], true],
  ])('of %j cover %j: %s', (granted, wanted, covered) => {
    expect(covers(granted, wanted)).toBe(covered)
  })
})
