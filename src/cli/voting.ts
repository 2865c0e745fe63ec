/**
 * `signalbox voting`: the voting service. API and worker in one process, or each by itself; `verify` recounts. SIGTERM or SIGINT
 * stop it gracefully (exit 0), a second one at once.
 */
import { Command } from 'commander'
import { systemClock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import { onCrash } from './crash.ts'
import { stopRequested } from './stop-requested.ts'
import type { Terminal } from './terminal.ts'
import type { ApiFlags, WorkerFlags } from './voting/settings.ts'

type Flags = ApiFlags & WorkerFlags & VerifyFlags
type Role = 'api' | 'worker'

export function votingCommand(terminal: Terminal, setExitCode: (code: number) => void): Command {
  const command = apiOptions(workerOptions(engineOptions(new Command('voting'))))
    .description('Run the voting service: topics, votes that count once, live results')
    .action((flags: Flags) => serve(['api', 'worker'], flags, terminal))
  command.addHelpText(
    'after',
    '\nVariables: API_KEY, API_CORS_ORIGINS, PORT, VOTES_REQUIRE_ACTIVE; for DynamoDB and SQS AWS_REGION, AWS_ACCESS_KEY_ID,\nAWS_SECRET_ACCESS_KEY, DYNAMODB_ENDPOINT_URL, AWS_SQS_ENDPOINT_URL. See docs/voting.md.',
  )
  const withParents = (action: (flags: Flags) => Promise<void>) => (_: unknown, self: Command) =>
    action(self.optsWithGlobals<Flags>())
  apiOptions(engineOptions(command.command('api')))
    .description('Serve the API and the page, and let workers elsewhere count')
    .action(withParents((flags) => serve(['api'], flags, terminal)))
  workerOptions(engineOptions(command.command('worker')))
    .description('Count the votes that wait')
    .action(withParents((flags) => serve(['worker'], flags, terminal)))
  engineOptions(command.command('verify'))
    .description('Recount the votes and hold the tallies against them; exit code 65 when they differ')
    .option('--repair', 'put right what differs, and count votes of other programs')
    .option('--json', 'print JSON')
    .action(withParents((flags) => verify(flags, terminal, setExitCode)))
  return command
}

interface VerifyFlags {
  readonly repair?: boolean
  readonly json?: boolean
}

function engineOptions(command: Command): Command {
  return command
    .option(
      '--engine <engine>',
      'embedded or aws (default: aws when a variable names a region or endpoint of it)',
    )
    .option('--data-dir <path>', 'embedded: its directory (default: ./data)')
    .option('--log-level <level>', 'default: info')
}

function apiOptions(command: Command): Command {
  return command
    .option('--host <address>', 'address to listen on (default: 127.0.0.1)')
    .option('--port <port>', '0 takes any free port (default: PORT, else 8081)')
    .option('--dev', 'without API_KEY: everybody on this machine may write topics')
}

function workerOptions(command: Command): Command {
  return command
    .option('--concurrency <n>', 'batches counted at the same time (default: 4)')
    .option('--visibility <duration>', "a killed worker's votes come again after so long (default: 30s)")
    .option(
      '--metrics <address>',
      'a worker by itself: where it tells its numbers, or off (default: 0.0.0.0:9191)',
    )
}

async function serve(roles: readonly Role[], flags: Flags, terminal: Terminal): Promise<void> {
  const [{ apiSettings, logLevel, votingEngine, workerSettings }, { createLogger }, { startVoting }] =
    await Promise.all([
      import('./voting/settings.ts'),
      import('../server/logger.ts'),
      import('./voting/run.ts'),
    ])
  const engine = votingEngine(flags, terminal)
  const api = roles.includes('api') ? apiSettings(flags, terminal) : undefined
  const worker = roles.includes('worker') ? workerSettings(flags) : undefined
  const logger = createLogger({ level: logLevel(flags), format: 'auto' }, terminal.stdout.isTTY === true)
  onCrash((error) => logger.fatal({ err: error }, 'crashed'))
  const stopped = stopRequested()
  const voting = await startVoting({
    engine,
    ...(api === undefined ? {} : { api }),
    ...(worker === undefined ? {} : { worker }),
    command: ['signalbox voting', ...(roles.length === 1 ? roles : [])].join(' '),
    clock: systemClock,
    random: systemRandom,
    logger,
  })
  try {
    await Promise.race([stopped, voting.done])
  } finally {
    await voting.close()
  }
}

async function verify(flags: Flags, terminal: Terminal, setExitCode: (code: number) => void): Promise<void> {
  const [{ votingEngine }, { dataIsThere, openVoting }, { verifyVotes }, { verdictText }, { createLogger }] =
    await Promise.all([
      import('./voting/settings.ts'),
      import('./voting/open.ts'),
      import('../voting/verify.ts'),
      import('./voting/verdict.ts'),
      import('../server/logger.ts'),
    ])
  const logger = createLogger({ level: 'silent', format: 'json' }, false)
  const parts = { clock: systemClock, random: systemRandom, logger }
  const options = { mayOwn: true, command: 'signalbox voting verify' }
  const engine = votingEngine(flags, terminal)
  await dataIsThere(engine)
  const opened = await openVoting(engine, parts, options)
  try {
    const verdict = await verifyVotes({
      ledger: opened.ledger,
      clock: systemClock,
      repair: flags.repair === true,
    })
    terminal.stdout.write(flags.json === true ? `${JSON.stringify(verdict)}\n` : verdictText(verdict))
    if (verdict.differences.some(({ repaired }) => !repaired)) setExitCode(65)
  } finally {
    await opened.close()
  }
}
