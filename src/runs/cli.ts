/**
 * `signalbox runs …` and `signalbox job …`: what ran, what runs, and starting and ending it, at a server.
 *
 * Invariants: every input is checked before the first call; results go to standard output; failures are thrown and printed by the
 * program as one line with the exit code of their error code.
 */
import { Command } from 'commander'
import type { ConnectOptions } from '../cli/context.ts'
import { wholeNumber } from '../cli/inputs.ts'
import type { RunsContext } from '../cli/runs-context.ts'
import { parseDuration } from '../kernel/duration.ts'
import { followLog, wholeLog } from './cli/log.ts'
import { filterOf, inputOf, jobArgument, reasonOf, runArgument, type ListFlags } from './cli/request.ts'
import { jobListText, jobText, runListText, runText } from './cli/views.ts'
import type { RunRow, RunsOperations } from './api.ts'

interface Flags extends Pick<ConnectOptions, 'url' | 'dataDir'> {
  readonly json?: true
}

/** A server knows who calls. */
const BY = 'the command line'

type Act = (runs: RunsOperations) => Promise<string>

export function runsCommands(context: RunsContext): Command {
  const runs = new Command('runs').description('Look at runs of jobs, cancel and restart them')
  const command = (usage: string, summary: string): Command => whereOptions(runs.command(usage), summary)
  listCommand(command, context)
  command('show <run>', 'Show one run').action(async (text: string, flags: Flags) => {
    const id = runArgument(text)
    await act(context, flags, async (api) => {
      const run = await api.get(id)
      return flags.json === true ? json(run) : runText(run, context.clock.now())
    })
  })
  command('log <run>', 'Print the log of a run')
    .option('--follow', 'go on until the run has ended')
    .action(async (text: string, flags: Flags & { readonly follow?: true }) => {
      const id = runArgument(text)
      const write = (lines: string): void => void context.stdout.write(lines)
      const options = { json: flags.json === true, write }
      await act(context, flags, async (api) => {
        await (flags.follow === true
          ? followLog(api, id, { ...options, clock: context.clock })
          : wholeLog(api, id, options))
        return ''
      })
    })
  command('cancel <run...>', 'End queued runs, and ask the workers of running ones to stop')
    .option('--reason <text>', 'why; the worker and the audit log are told')
    .action(async (texts: string[], flags: Flags & { readonly reason?: string }) => {
      const ids = texts.map(runArgument)
      const reason = reasonOf(flags.reason)
      await act(context, flags, async (api) => {
        const cancelled = []
        for (const id of ids) {
          cancelled.push(await api.cancel(id, { by: BY, ...(reason === undefined ? {} : { reason }) }))
        }
        if (flags.json === true) return json({ runs: cancelled })
        return cancelled
          .map(({ id, state }) => `${id}: ${state === 'running' ? 'its worker is asked to stop' : state}\n`)
          .join('')
      })
    })
  command('restart <run...>', 'Run ended runs again, each as a new run with the same input').action(
    async (texts: string[], flags: Flags) => {
      const ids = texts.map(runArgument)
      await act(context, flags, async (api) => {
        const restarted = []
        for (const id of ids) restarted.push(await api.restart(id, { by: BY }))
        if (flags.json === true) return json({ runs: restarted })
        return restarted.map(({ id }) => `${id}\n`).join('')
      })
    },
  )
  return runs
}

export function jobCommands(context: RunsContext): Command {
  const job = new Command('job').description('Look at jobs, and run one now')
  const command = (usage: string, summary: string): Command => whereOptions(job.command(usage), summary)
  command('list', 'List the jobs that workers run').action(async (flags: Flags) => {
    await act(context, flags, async (api) => {
      const jobs = await api.listJobs()
      return flags.json === true ? json({ jobs }) : jobListText(jobs, context.clock.now())
    })
  })
  command('show <job>', 'Show one job: what it takes, who runs it, how its runs ended').action(
    async (text: string, flags: Flags) => {
      const name = jobArgument(text)
      await act(context, flags, async (api) => {
        const found = await api.getJob(name)
        return flags.json === true ? json(found) : jobText(found, context.clock.now())
      })
    },
  )
  command('enqueue <job>', 'Run a job now')
    .option('--input <json>', 'its input (default: {})')
    .option('--id <id>', 'the run is named <job>:<id>; with an id that is there already nothing happens')
    .option('--delay <duration>', 'not before so long')
    .action(
      async (
        text: string,
        flags: Flags & { readonly input?: string; readonly id?: string; readonly delay?: string },
      ) => {
        const name = jobArgument(text)
        const request = {
          ...inputOf(flags.input),
          ...(flags.id === undefined
            ? {}
            : { id: runArgument(`${name}:${flags.id}`).slice(name.length + 1) }),
          ...(flags.delay === undefined ? {} : { delayMs: parseDuration(flags.delay, '--delay') }),
        }
        await act(context, flags, async (api) => {
          const created = await api.runNow(name, request, BY)
          if (flags.json === true) return json(created)
          return `${created.run.id}${created.created ? '' : ` (there already, ${created.run.state})`}\n`
        })
      },
    )
  return job
}

const DEFAULT_LIMIT = 50
const PAGE = 500

function listCommand(command: (usage: string, summary: string) => Command, context: RunsContext): void {
  command('list', 'List runs, newest first')
    .option(
      '--state <state,…>',
      'only in these states: queued, running, succeeded, failed, cancelled, timed_out, lost, skipped',
    )
    .option('--job <name>', 'only of this job')
    .option('--schedule <name>', 'only of this schedule')
    .option('--since <duration>', 'only created within this time, for example 2h')
    .option(
      '--text <text>',
      'only with this text in id, queue, worker, error, reason or input (of the newest 10,000)',
    )
    .option('--limit <number>', `at most so many runs (default: ${DEFAULT_LIMIT})`)
    .action(async (flags: Flags & ListFlags) => {
      const filter = filterOf(flags, context.clock.now())
      const limit = wholeNumber(flags.limit ?? String(DEFAULT_LIMIT), {
        flag: '--limit',
        min: 1,
        max: 1_000_000,
      })
      await act(context, flags, async (api) => {
        const found: RunRow[] = []
        for (let after: string | undefined; ;) {
          const page = await api.list({
            ...filter,
            limit: Math.min(PAGE, limit - found.length),
            ...(after === undefined ? {} : { after }),
          })
          found.push(...page.runs)
          after = page.next
          if (after !== undefined && found.length < limit && page.scanned === undefined) continue
          const next = after === undefined ? {} : { next: after }
          return flags.json === true
            ? json({ runs: found, ...next })
            : runListText(found, context.clock.now())
        }
      })
    })
}

function whereOptions(command: Command, summary: string): Command {
  return command
    .description(summary)
    .option('--url <url>', 'the server (default: SIGNALBOX_URL)')
    .option(
      '--data-dir <directory>',
      'the server that owns this directory (default: SIGNALBOX_DATA_DIR, ./data)',
    )
    .option('--json', 'print JSON')
}

async function act(context: RunsContext, flags: Flags, run: Act): Promise<void> {
  const connection = await context.connect(flags)
  try {
    const text = await run(connection.runs)
    if (text !== '') context.stdout.write(text)
  } finally {
    await connection.close()
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}
