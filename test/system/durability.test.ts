/**
 * Nothing is answered before it is on the disk. kill -9 cannot show that (the page cache survives it), so the server runs under
 * strace: between each request that changes something and its answer lies a completed fsync of the write-ahead log.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startServer, temporaryFolder } from '../support/processes.ts'

interface Call {
  readonly at: number
  readonly text: string
}

it('has an fsync between each acknowledged request and its answer', async () => {
  expect(execFileSync('strace', ['--version'], { encoding: 'utf8' }), 'install strace').toContain('strace')
  const trace = join(temporaryFolder('trace'), 'trace')
  const server = await startServer({
    via: [
      'strace',
      '-f',
      '-ttt',
      '-y',
      '-s',
      '120',
      '-e',
      'trace=fsync,fdatasync,read,write,writev',
      '-o',
      trace,
    ],
  })
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${server.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  for (let i = 0; i < 10; i++) {
    await post(`/api/v1/turns/traced/members`, { id: `sequential-${i}` })
    await fetch(`${server.url}/api/v1/turns/traced/members/sequential-${i}`, { method: 'DELETE' })
  }
  await Promise.all(
    Array.from({ length: 30 }, (_, i) => post(`/api/v1/turns/traced-${i}/members`, { id: `parallel-${i}` })),
  )
  process.kill(tracedPid(server.running.pid), 'SIGTERM')
  await server.running.exited

  const calls = readFileSync(trace, 'utf8')
    .split('\n')
    .map(parse)
    .filter((c): c is Call => c !== undefined)
  const syncs = calls
    .filter((c) => /^(fsync|fdatasync)\(\d+<[^>]*signalbox\.db-wal>/.test(c.text))
    .map((c) => c.at)
  const asked = new Map<string, number>()
  let checked = 0
  for (const { at, text } of calls) {
    const request = /^read\((\d+)<[^>]*>, "(POST|DELETE) \/api/.exec(text)
    if (request?.[1] !== undefined) asked.set(request[1], at)
    const answer = /^writev?\((\d+)<[^>]*>, .*HTTP\/1\.1 200/.exec(text)
    const since = asked.get(answer?.[1] ?? '')
    if (since === undefined || answer?.[1] === undefined) continue
    asked.delete(answer[1])
    checked++
    expect(
      syncs.some((sync) => sync > since && sync < at),
      `no fsync before the answer at ${at}`,
    ).toBe(true)
  }
  expect(checked).toBe(50)
  console.log(`${checked} answers, ${syncs.length} syncs of the log`)
})

function parse(line: string): Call | undefined {
  const match = /^\d+\s+(\d+\.\d+) (.*)$/.exec(line)
  return match?.[1] === undefined || match[2] === undefined
    ? undefined
    : { at: Number(match[1]), text: match[2] }
}

/** The server itself, strace being its parent. */
function tracedPid(strace: number): number {
  return Number(readFileSync(`/proc/${strace}/task/${strace}/children`, 'utf8').trim().split(' ')[0])
}
