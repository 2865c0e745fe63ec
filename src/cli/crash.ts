/**
 * The last resort: an error that nobody caught ends the process with one line and exit code 70, never with a bare stack.
 */
import { SignalboxError } from '../kernel/error.ts'
import { printError } from './output.ts'
import type { Terminal } from './terminal.ts'

let report: ((error: unknown) => void) | undefined

/** Lets the running command say it its own way, for example into its log. */
export function onCrash(how: (error: unknown) => void): void {
  report = how
}

/** Watches over this process. Rejections that nobody handles arrive here too (Node's default). */
export function catchCrashes(terminal: Terminal): void {
  process.on('uncaughtException', (error) => {
    const crash = new SignalboxError('internal', error.message, { cause: error })
    if (report === undefined) printError(crash, terminal, { json: terminal.argv.includes('--json') })
    else report(error)
    process.exit(crash.facts.exit)
  })
  // `signalbox turn list | head -1`: the reader has what it wants. A server outlives the reader of its log.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    if (report === undefined) process.exit()
  })
}
