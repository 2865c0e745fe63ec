/** The voting commands as processes: how they start together, what they refuse, and how they end. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import {
  endProcesses,
  freePort,
  signalbox,
  temporaryFolder,
  until,
  type Running,
} from '../support/processes.ts'

afterEach(() => endProcesses())

const WITHIN_MS = 30_000

async function ready(args: readonly string[]): Promise<Running> {
  const running = signalbox(['voting', ...args])
  await until('the voting service is ready', () => {
    if (running.child.exitCode !== null) throw new Error(`it ended: ${running.out()}${running.err()}`)
    return running.out().includes('is ready')
  })
  return running
}

async function refused(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<[unknown, string]> {
  const running = signalbox(['voting', ...args], { env })
  return [await running.exited, running.err()]
}

async function post(url: string, body: object): Promise<{ id: string; choices: { id: string }[] }> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return (await answer.json()) as { id: string; choices: { id: string }[] }
}

describe('the voting service', () => {
  it('refuses to start without a key, and leaves no directory behind', async () => {
    const directory = join(temporaryFolder('voting'), 'data')
    const [code, said] = await refused(['--data-dir', directory])
    expect([code, said]).toEqual([
      78,
      expect.stringMatching(/^signalbox: API_KEY: not set; [^\n]*--dev[^\n]*\n$/),
    ])
    expect(existsSync(directory)).toBe(false)
  })

  it('says who has its port and what to type instead', async () => {
    const port = await freePort()
    const own = await ready(['--dev', '--port', String(port), '--data-dir', temporaryFolder('voting')])
    const directory = join(temporaryFolder('voting'), 'data')
    const [code, said] = await refused(['--dev', '--port', String(port), '--data-dir', directory])
    expect([code, said]).toEqual([
      69,
      expect.stringMatching(/^signalbox: port \d+ [^\n]*: signalbox voting --port \d+\n$/),
    ])
    expect(existsSync(directory)).toBe(false)
    own.kill('SIGTERM')
    expect(await own.exited).toBe(0)
  })

  it('verifies no data that is not there, and makes none', async () => {
    const directory = join(temporaryFolder('voting'), 'typo')
    const [code, said] = await refused(['verify', '--data-dir', directory])
    expect([code, said]).toEqual([
      66,
      expect.stringMatching(/^signalbox: there is no data [^\n]*--data-dir\n$/),
    ])
    expect(existsSync(directory)).toBe(false)
  })

  it('has no worker without an owner of the data', async () => {
    const [code, said] = await refused([
      'worker',
      '--metrics',
      'off',
      '--data-dir',
      temporaryFolder('voting'),
    ])
    expect([code, said]).toEqual([
      69,
      expect.stringMatching(/^signalbox: no process owns the data directory [^\n]*\n$/),
    ])
  })

  it('shows live what another process counts, and ends while somebody watches', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const directory = temporaryFolder('voting')
    const api = await ready(['api', '--dev', '--port', String(port), '--data-dir', directory])
    const worker = await ready(['worker', '--metrics', '127.0.0.1:0', '--data-dir', directory])
    const topic = await post(`${url}/topics`, { title: 'T', choices: [{ description: 'a' }] })
    const stream = await fetch(`${url}/topics/${topic.id}`, { headers: { accept: 'text/event-stream' } })
    let seen = ''
    const watching = (async () => {
      const text = new TextDecoder()
      for await (const chunk of stream.body ?? []) seen += text.decode(chunk as Uint8Array, { stream: true })
    })().catch(() => undefined)
    await post(`${url}/votes`, { topic_id: topic.id, choice_id: topic.choices[0]?.id })
    await until('the vote is seen', () => /"votes":1\b[^\n]*\n\n/.test(seen), WITHIN_MS)

    const numbers = /"metrics":"([^"]+)"/.exec(worker.out())?.[1] ?? ''
    expect(await (await fetch(numbers)).text()).toContain('signalbox_votes_counted_total{status="counted"} 1')
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('signalbox_votes_accepted_total 1')

    const askedAt = performance.now()
    worker.kill('SIGTERM')
    expect(await worker.exited).toBe(0)
    api.kill('SIGTERM')
    expect(await api.exited).toBe(0)
    await watching
    expect(performance.now() - askedAt).toBeLessThan(WITHIN_MS)
  })
})
