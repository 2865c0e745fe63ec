/** The scenarios of the wire, in process on a memory store, and over a socket against the real server on its embedded store. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { needsNoHttp, playerInProcess } from './vectors/in-process.ts'
import { playerOverHttp } from './vectors/over-http.ts'
import { mismatch, play, type Scenario } from './vectors/scenario.ts'

const file = new URL('vectors/lease.json', import.meta.url)
const scenarios = JSON.parse(readFileSync(file, 'utf8')) as Scenario[]

describe('in process', () => {
  const simple = scenarios.filter(needsNoHttp)

  it('plays most of the scenarios', () => {
    expect(simple.length).toBeGreaterThan(50)
  })

  it.each(simple.map((scenario) => [scenario.name, scenario] as const))('%s', async (_, scenario) => {
    expect(await play(scenario, () => playerInProcess(scenario))).toBeUndefined()
  })
})

describe('over HTTP', () => {
  it.each(scenarios.map((scenario) => [scenario.name, scenario] as const))('%s', async (_, scenario) => {
    expect(await play(scenario, () => playerOverHttp(scenario))).toBeUndefined()
  })
})

describe('the judge of a scenario', () => {
  const response = { status: 200, headers: { allow: 'POST' }, text: '{"a":{"b":[1,{"c":null}]},"d":2}' }

  it.each([
    [{ status: 201 }, 'status 200, not 201'],
    [{ body_subset: { a: { b: [1] } } }, '/a/b is not an array of 1'],
    [{ body_subset: { a: { b: [1, { c: 0 }] } } }, '/a/b/1/c is null, not 0'],
    [{ body_subset: { e: {} } }, '/e is not an object'],
    [{ body_absent: ['/d'] }, '/d must be absent'],
    [{ body_text: 'x' }, 'the text is not "x"'],
    [{ body_text_contains: ['"d":2', 'zzz'] }, 'the text lacks "zzz"'],
    [{ headers_subset: { Allow: 'GET' } }, 'header Allow is POST, not GET'],
  ])('objects to %j', (expected, problem) => {
    expect(mismatch(response, expected)).toContain(problem)
  })

  it('accepts a subset', () => {
    expect(
      mismatch(response, {
        status: 200,
        body_subset: { a: { b: [1, { c: null }] } },
        body_absent: ['/e', '/a/b/2'],
        headers_subset: { Allow: 'POST' },
      }),
    ).toBeUndefined()
  })

  it('says why a server does not start', async () => {
    const broken = { name: 'broken', raw_yaml: 'repositories: [{owner: a}]', steps: [] }
    expect(await play(broken, () => playerOverHttp(broken))).toContain('leases.yaml:1: repositories[0].name')
  })
})
