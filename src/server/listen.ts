/**
 * Binding: the TCP address, and the owner's socket beside the data, on which processes of the same user reach the owner
 * without being asked who they are.
 */
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { SignalboxError } from '../kernel/error.ts'
import { describePortOwner, findPortOwner, reachable } from './port-owner.ts'

export interface TcpAddress {
  readonly host: string
  readonly port: number
}

/** `sun_path` holds 108 bytes with its final zero on Linux, 104 on macOS. */
const MAX_SOCKET_PATH_BYTES = 103

/** Where Windows keeps named pipes. */
const PIPE = '\\\\.\\pipe\\'

/** Permissions that only the owner of the socket has. */
const OWNER_ONLY_UMASK = 0o177

/**
 * @param command what was typed, without `flag`, for the remedy
 * @param flag what sets the port
 * @returns the address it got; its port is another one than asked for if that was 0
 * @throws SignalboxError `address_in_use`, `permission_denied`, `config_invalid`
 */
export async function listenTcp(
  server: Server,
  { host, port }: TcpAddress,
  command: string,
  flag = '--port',
): Promise<TcpAddress> {
  try {
    await listening(server, () => server.listen(port, host))
  } catch (error) {
    throw await listenProblem(error as NodeJS.ErrnoException, { host, port }, `${command} ${flag}`)
  }
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new TypeError('a TCP server has an address')
  return { host: bound.address, port: bound.port }
}

/** Throws what `listenTcp` would, and leaves nothing behind. */
export async function checkTcpIsFree(address: TcpAddress, command: string, flag?: string): Promise<void> {
  const probe = createServer()
  await listenTcp(probe, address, command, flag)
  await new Promise((done) => probe.close(done))
}

/** `http://127.0.0.1:8080` */
export function urlOf({ host, port }: TcpAddress): string {
  const name = reachable(host)
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}

/**
 * Where the owner of a data directory listens for processes of its user: beside the data; where that path is too long for
 * a socket, in the temporary directory; on Windows a named pipe.
 */
export function ownerSocketPath(dataDir: string): string {
  const directory = resolve(dataDir)
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 24)
  if (process.platform === 'win32') return `${PIPE}signalbox-${name}`
  const path = join(directory, 'owner.sock')
  return Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES ? path : join(tmpdir(), `signalbox-${name}.sock`)
}

/** Binds the owner's socket, mode 0600. Call it while owning the data directory: a file that is there is stale. */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  try {
    if (!path.startsWith(PIPE)) rmSync(path, { force: true })
    await listening(server, () => {
      const umask = process.umask(OWNER_ONLY_UMASK) // the file is made within this very call
      try {
        server.listen(path)
      } finally {
        process.umask(umask)
      }
    })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new SignalboxError(
      'permission_denied',
      `${path}: cannot listen on this socket (${code}); make its directory writable or choose another --data-dir`,
      { cause },
    )
  }
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail)
    server.once('listening', () => {
      server.removeListener('error', fail)
      done()
    })
    listen()
  })
}

/** @param command what was typed, up to the port's flag */
async function listenProblem(
  error: NodeJS.ErrnoException,
  { host, port }: TcpAddress,
  command: string,
): Promise<SignalboxError> {
  if (error.code === 'EADDRINUSE') {
    const owner = describePortOwner(await findPortOwner(host, port))
    const free = await nextFreePort({ host, port })
    return new SignalboxError(
      'address_in_use',
      `port ${port} on ${host} is taken by ${owner}; stop it, or choose another: ${command} ${free}`,
      { cause: error, details: { host, port } },
    )
  }
  if (error.code === 'EACCES') {
    const message = `port ${port} needs privileges that this process lacks; choose one above 1023: ${command} 8080`
    return new SignalboxError('permission_denied', message, { cause: error })
  }
  return new SignalboxError(
    'config_invalid',
    `server.host: cannot listen on '${host}' (${error.code}); write an address of this machine, such as 127.0.0.1`,
    { cause: error },
  )
}

/** The first free port above a taken one, within the next ten; so that the remedy works when typed. */
async function nextFreePort({ host, port }: TcpAddress): Promise<number> {
  for (let next = port + 1; next <= Math.min(port + 10, 65_535); next++) {
    const probe = createServer()
    const free = await listening(probe, () => probe.listen(next, host)).then(
      () => true,
      () => false,
    )
    await new Promise((done) => probe.close(done))
    if (free) return next
  }
  return 0
}
