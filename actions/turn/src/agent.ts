/** The background process that holds a place across steps: what `turn agent serve` is to the command line. */
import { catchCrashes } from '../../../src/cli/crash.ts'
import { printError } from '../../../src/cli/output.ts'
import { cliContext, processTerminal } from '../../../src/cli/terminal.ts'
import { serveAgent } from '../../../src/turns/cli/agent/serve.ts'

const terminal = processTerminal()
catchCrashes(terminal)
try {
  await serveAgent(cliContext(terminal, (code) => (process.exitCode = code)))
} catch (error) {
  process.exitCode = printError(error, terminal, { json: false })
}
