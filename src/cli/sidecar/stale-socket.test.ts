import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { removeStaleSocket } from './stale-socket.ts'

let folder: string
let path: string
const servers: Server[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'signalbox-socket-'))
  path = join(folder, 's')
})
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((done) => server.close(done))))
  rmSync(folder, { recursive: true, force: true })
})

async function listen(at: string): Promise<Server> {
  const server = createServer()
  servers.push(server)
  await new Promise<void>((done, failed) => {
    server.once('error', failed)
    server.listen(at, done)
  })
  return server
}

/** As `kill -9` leaves it: a server that ends in order removes only what has its name. */
async function leftBehind(): Promise<void> {
  const server = await listen(join(folder, 'before'))
  renameSync(join(folder, 'before'), path)
  await new Promise((done) => server.close(done))
}

it('removes what a killed process left', async () => {
  await leftBehind()
  await expect(listen(path)).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await removeStaleSocket(path)
  await listen(path)
})

it('leaves one that somebody listens on', async () => {
  await listen(path)
  await removeStaleSocket(path)
  expect(existsSync(path)).toBe(true)
})

it('leaves what is no socket, and says nothing of what is not there', async () => {
  await removeStaleSocket(path)
  writeFileSync(path, 'mine')
  await removeStaleSocket(path)
  expect(existsSync(path)).toBe(true)
})
