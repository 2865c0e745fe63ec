/**
 * Whether the owner of a data directory lives, and where its socket is. Beside `connect.ts`, whose HTTP client a sidecar does not load.
 */
import { existsSync, lstatSync } from 'node:fs'
import { createConnection } from 'node:net'
import { dirname } from 'node:path'
import { sleep, type Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { ownerSocketPath } from '../server/listen.ts'

/** How long an owner that is being restarted is waited for, if it left its socket. */
const RESTART_MS = 2_000
const RETRY_MS = 100

/**
 * Anybody may put a socket of that name into the temporary directory and wait for our calls and our token; so it must be
 * this user's. Within the data directory, the directory's permissions say who may. Named pipes have no owner to look at.
 *
 * @throws SignalboxError `permission_denied`
 */
export function refuseForeignSocket(path: string, userId = process.getuid?.()): void {
  if (userId === undefined) return
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined || (found.isSocket() && found.uid === userId)) return
  throw new SignalboxError(
    'permission_denied',
    `${path}: is not a socket of this user, so it may not be asked; run as the user who runs the server, or set SIGNALBOX_URL and SIGNALBOX_TOKEN`,
  )
}

/**
 * The socket of a data directory's live owner; undefined without one.
 * @param dataDir absolute
 * @param patienceMs how long an owner is waited for that left its socket, and may be between two starts
 * @throws SignalboxError `permission_denied`
 */
export async function ownerSocket(
  dataDir: string,
  clock: Clock,
  patienceMs = RESTART_MS,
): Promise<string | undefined> {
  const path = ownerSocketPath(dataDir)
  if (dirname(path) !== dataDir) refuseForeignSocket(path)
  return (await answers(path, clock, patienceMs)) ? path : undefined
}

async function answers(path: string, clock: Clock, patienceMs: number): Promise<boolean> {
  if (!existsSync(path)) return false
  for (const until = clock.monotonic() + patienceMs; ; await sleep(clock, RETRY_MS)) {
    const problem = await tryConnect(path)
    if (problem === undefined) return true
    if (problem === 'EACCES' || problem === 'EPERM') {
      throw new SignalboxError(
        'permission_denied',
        `${path}: belongs to another user; run as that user, or set SIGNALBOX_URL and SIGNALBOX_TOKEN`,
      )
    }
    if (clock.monotonic() >= until) return false
  }
}

function tryConnect(path: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const socket = createConnection(path)
  socket.on('connect', () => {
    socket.destroy()
    resolve(undefined)
  })
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'))
  return promise
}
