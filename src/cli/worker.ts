/**
 * `signalbox worker MODULE…`: runs the jobs that modules and folders export, in one process or several. SIGTERM or SIGINT drain it
 * (exit 0), a second one ends it at once.
 */
import { Command } from 'commander'
import { AggregatorRegistry } from 'prom-client'
import { parseDuration } from '../kernel/duration.ts'
import { systemClock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import { createLogger, type Logger } from '../server/logger.ts'
import { onCrash } from './crash.ts'
import { oneOf, wholeNumber } from './inputs.ts'
import { stopRequested } from './stop-requested.ts'
import type { Terminal } from './terminal.ts'
import { CHILD, WorkerProcesses } from './worker/processes.ts'
import { metricsAddress, runWorker, type WorkerRun } from './worker/run.ts'
import { openWorkerWeb } from './worker/web.ts'

interface WorkerFlags {
  readonly queues?: string
  readonly concurrency: string
  readonly processes: string
  readonly url?: string
  readonly dataDir?: string
  readonly config?: string
  readonly metrics: string
  readonly grace: string
  readonly wait: string
  readonly logLevel: string
  readonly logFormat: string
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
const FORMATS = ['auto', 'json', 'text'] as const

export function workerCommand(terminal: Terminal, setExitCode: (code: number) => void): Command {
  const command = new Command('worker').description('Run background jobs from modules and folders')
  command
    .argument('<module...>', 'files, or folders that are searched: what they export by defineJob is run')
    .option('--queues <names>', 'work on these queues only, separated by commas (default: those of the jobs)')
    .option('--concurrency <n>', 'jobs at the same time in each process', '16')
    .option('--processes <n>', 'so many processes', '1')
    .option('--url <url>', 'the server (default: SIGNALBOX_URL, else the owner of the data directory)')
    .option(
      '--data-dir <path>',
      'the directory whose owner is asked (default: SIGNALBOX_DATA_DIR, else ./data)',
    )
    .option('--config <file>', 'configuration of the server, for cloud engines')
    .option('--metrics <host:port>', '/metrics, /healthz and /readyz; off to have none', '0.0.0.0:9191')
    .option('--grace <duration>', 'after SIGTERM: how long jobs at work may take', '30s')
    .option('--wait <duration>', 'at the start: how long to wait for a server', '10s')
    .option('--log-level <level>', LEVELS.join(', '), 'info')
    .option('--log-format <format>', 'json, text, or auto', 'auto')
  command.action(async (paths: string[], flags: WorkerFlags) => {
    const log = {
      level: oneOf(LEVELS, flags.logLevel, '--log-level'),
      format: oneOf(FORMATS, flags.logFormat, '--log-format'),
    }
    const logger = createLogger(log, terminal.stdout.isTTY === true)
    onCrash((error) => logger.fatal({ err: error }, 'crashed'))
    const child = terminal.env[CHILD] === '1'
    const processes = child ? 1 : wholeNumber(flags.processes, { flag: '--processes', min: 1, max: 256 })
    const { url, dataDir, config } = flags
    const run: WorkerRun = {
      paths,
      where: { url, dataDir, config },
      queues: flags.queues
        ?.split(',')
        .map((name) => name.trim())
        .filter((name) => name !== ''),
      concurrency: wholeNumber(flags.concurrency, { flag: '--concurrency', min: 1, max: 1_000 }),
      graceMs: parseDuration(flags.grace, '--grace'),
      waitMs: parseDuration(flags.wait, '--wait'),
      metrics: metricsAddress(flags.metrics),
      child,
      command: 'signalbox worker',
    }
    const facts = { env: terminal.env, cwd: terminal.cwd, clock: systemClock, random: systemRandom }
    if (processes === 1) await runWorker(run, facts, logger)
    else setExitCode(await runSeveral(run, processes, terminal, logger))
  })
  return command
}

/** @returns the exit code */
async function runSeveral(
  run: WorkerRun,
  count: number,
  { argv, env, cwd }: Terminal,
  logger: Logger,
): Promise<number> {
  const stopped = stopRequested()
  const processes = new WorkerProcesses({
    argv,
    env,
    cwd,
    count,
    graceMs: run.graceMs,
    clock: systemClock,
    random: systemRandom,
    onRestart: (facts) => logger.warn(facts, 'a worker process ended; it is started again'),
  })
  const web =
    run.metrics === undefined
      ? undefined
      : await openWorkerWeb({
          address: run.metrics,
          clock: systemClock,
          metrics: async () => {
            const sum = AggregatorRegistry.aggregate(await processes.metrics())
            return { text: await sum.metrics(), type: sum.contentType }
          },
          ready: () => processes.ready,
          command: run.command,
        })
  try {
    processes.start()
    const ended = await Promise.race([stopped.then(() => undefined), processes.ended])
    if (ended !== undefined) return ended
    await processes.stop()
    return 0
  } finally {
    await web?.close()
  }
}
