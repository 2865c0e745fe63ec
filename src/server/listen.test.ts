import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SignalboxError } from '../kernel/error.ts'
import { checkTcpIsFree, listenOnSocket, listenTcp, ownerSocketPath, urlOf } from './listen.ts'
import { findPortOwner } from './port-owner.ts'

const host = '127.0.0.1'

function closing<S extends Server>(server: S): S {
  onTestFinished(() => new Promise<void>((done) => void server.close(() => done())))
  return server
}

async function taken(server: Server = createServer()): Promise<number> {
  await new Promise<void>((done) => void closing(server).listen(0, host, done))
  return (server.address() as AddressInfo).port
}

function temporary(): string {
  const path = mkdtempSync(join(tmpdir(), 'signalbox-listen-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

const failure = async (attempt: Promise<unknown>): Promise<SignalboxError> =>
  attempt.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: unknown) => error as SignalboxError,
  )

describe('listening on TCP', () => {
  it('gives the address it got', async () => {
    const server = closing(createServer())
    const address = await listenTcp(server, { host, port: 0 }, 'signalbox serve')
    expect(address).toEqual({ host, port: expect.any(Number) })
    expect(address.port).toBe((server.address() as AddressInfo).port)
  })

  it('names the Signalbox that has the port, and a port that is free', async () => {
    const port = await taken(
      createHttpServer((_, response) => response.end('{"status":"ok","name":"signalbox","version":"9.8.7"}')),
    )
    const error = await failure(checkTcpIsFree({ host, port }, 'npm start --'))
    expect(error.code).toBe('address_in_use')
    const [, next] = /choose another: npm start -- --port (\d+)$/.exec(error.message) ?? []
    expect(Number(next)).toBeGreaterThan(port)
    await checkTcpIsFree({ host, port: Number(next) }, '')
    expect(error.message).toMatch(
      new RegExp(`^port ${port} on 127\\.0\\.0\\.1 is taken by Signalbox 9\\.8\\.7[^;]*; stop it, or`),
    )
  })

  it.skipIf(process.platform !== 'linux')('names any other process by program and id', async () => {
    const port = await taken(createHttpServer((_, response) => response.end('hello')))
    expect(await findPortOwner(host, port)).toEqual({
      pid: process.pid,
      program: expect.stringMatching(/node/),
    })
    const error = await failure(checkTcpIsFree({ host, port }, 'signalbox serve'))
    expect(error.message).toContain(`is taken by node (process ${process.pid}); stop it, or choose another: `)
  })

  it('says when an address is not one of this machine', async () => {
    const error = await failure(checkTcpIsFree({ host: '203.0.113.7', port: 0 }, 'signalbox serve'))
    expect([error.code, error.message]).toEqual([
      'config_invalid',
      "server.host: cannot listen on '203.0.113.7' (EADDRNOTAVAIL); write an address of this machine, such as 127.0.0.1",
    ])
  })

  it('leaves a port that it checked free', async () => {
    const port = await taken(createServer())
    const free = port === 65_535 ? port - 1 : port + 1
    await checkTcpIsFree({ host, port: free }, '').catch(() => undefined)
    await checkTcpIsFree({ host, port: 0 }, '')
  })
})

it.each([
  [{ host: '127.0.0.1', port: 80 }, 'http://127.0.0.1:80'],
  [{ host: '0.0.0.0', port: 80 }, 'http://127.0.0.1:80'],
  [{ host: '::', port: 80 }, 'http://[::1]:80'],
  [{ host: 'box.local', port: 80 }, 'http://box.local:80'],
])('%j is reached at %s', (address, url) => {
  expect(urlOf(address)).toBe(url)
})

describe("the owner's socket", () => {
  it('lies beside the data, or in the temporary directory when that path is too long for a socket', () => {
    expect(ownerSocketPath('/srv/data')).toBe('/srv/data/owner.sock')
    const long = `/srv/${'deep/'.repeat(30)}`
    expect(ownerSocketPath(long)).toMatch(/\/signalbox-[0-9a-f]{24}\.sock$/)
    expect(ownerSocketPath(long)).toBe(ownerSocketPath(`${long}/./`))
    expect(Buffer.byteLength(ownerSocketPath(`/srv/${'ü'.repeat(60)}`))).toBeLessThan(104)
  })

  it('is for its user alone, and replaces a stale one', async () => {
    const path = join(temporary(), 'owner.sock')
    writeFileSync(path, 'left behind by kill -9')
    await listenOnSocket(closing(createServer()), path)
    expect(statSync(path).isSocket()).toBe(true)
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('says which path cannot be used', async () => {
    const path = join(temporary(), 'missing', 'owner.sock')
    const error = await failure(listenOnSocket(createServer(), path))
    expect(error.code).toBe('permission_denied')
    expect(error.message).toContain(path)
  })
})
