#!/usr/bin/env node
/** The executable: runs the command line of this process. */
import { catchCrashes } from './crash.ts'
import { run } from './program.ts'
import { processTerminal } from './terminal.ts'

const terminal = processTerminal()
catchCrashes(terminal)
process.exitCode = await run(terminal)
