/** A Unix socket that a killed process left behind would keep the next one from listening there. */
import { lstat, rm } from 'node:fs/promises'
import { connect } from 'node:net'

/** Removes a socket on which nobody listens; one that somebody has, and any other file, is left for the listener to object to. */
export async function removeStaleSocket(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined)
  if (there?.isSocket() === true && (await isRefused(path))) await rm(path, { force: true })
}

function isRefused(path: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      done(false)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => done(error.code === 'ECONNREFUSED'))
  })
}
