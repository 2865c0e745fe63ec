/**
 * Who owns a data directory: a note beside the data file, for messages and for finding the owner's socket.
 *
 * Invariant: the note decides nothing, the lock on the data file does. It is written after the lock was got and removed
 * before the lock is let go; one left by `kill -9` is overwritten by the next owner.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Owner {
  readonly pid: number
  /** What was started, for people; without arguments, which may hold secrets. */
  readonly command: string
  /** ISO 8601. */
  readonly startedAt: string
  /** Where it serves HTTP. */
  readonly url?: string
  /** The socket on which it serves its store. */
  readonly socket?: string
}

const OWNER_FILE = 'owner.json'

/** The path of a directory's note. */
export function ownerFile(directory: string): string {
  return join(directory, OWNER_FILE)
}

/** What the note of a data directory says; undefined without one. Its process may be gone. */
export function readOwner(directory: string): Owner | undefined {
  return readOwnerFile(ownerFile(directory))
}

export function readOwnerFile(path: string): Owner | undefined {
  try {
    const note = JSON.parse(readFileSync(path, 'utf8')) as Partial<Record<keyof Owner, unknown>> | null
    if (typeof note?.pid !== 'number' || typeof note.command !== 'string') return undefined
    return {
      pid: note.pid,
      command: note.command,
      startedAt: typeof note.startedAt === 'string' ? note.startedAt : '',
      ...(typeof note.url === 'string' ? { url: note.url } : {}),
      ...(typeof note.socket === 'string' ? { socket: note.socket } : {}),
    }
  } catch {
    return undefined
  }
}

/** Best effort: a full disk must not keep an owner from starting. */
export function writeOwnerFile(path: string, owner: Owner): void {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    writeFileSync(temporary, `${JSON.stringify(owner)}\n`, { mode: 0o600 })
    renameSync(temporary, path)
  } catch {
    rmSync(temporary, { force: true })
  }
}

export function removeOwnerFile(path: string): void {
  try {
    rmSync(path, { force: true })
  } catch {
    // The next owner overwrites it.
  }
}

/** `process 42 (signalbox serve, http://127.0.0.1:8080), since 2026-11-21T08:00:00.000Z` */
export function describeOwner(owner: Owner | undefined): string {
  if (owner === undefined) return 'another process'
  const what = [owner.command, owner.url].filter((part) => part !== undefined).join(', ')
  return `process ${owner.pid} (${what})${owner.startedAt === '' ? '' : `, since ${owner.startedAt}`}`
}
