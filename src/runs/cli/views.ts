/** What `runs` and `job` print for people. */
import { table } from '../../cli/output.ts'
import { printable } from '../../cli/text.ts'
import { formatDuration } from '../../kernel/duration.ts'
import type { JobView, RunRow, RunView } from '../api.ts'
import { parametersOf, type Parameter } from '../parameters.ts'

const MAX_WHY = 60

export function runListText(runs: readonly RunRow[], now: number): string {
  if (runs.length === 0) return 'No runs.\n'
  const rows = runs.map((run) => [
    run.id,
    run.state,
    `${run.attempt}/${run.attempts}`,
    ago(run.createdAt, now),
    took(run, now),
    printable(run.reason ?? run.error ?? run.held ?? '').slice(0, MAX_WHY),
  ])
  return table([['RUN', 'STATE', 'ATTEMPT', 'CREATED', 'TOOK', 'WHY'], ...rows])
}

export function runText(run: RunView, now: number): string {
  const { id, state, attempt, attempts, queue, source, schedule, worker, progress, error, cancel } = run
  const facts: [string, string | undefined][] = [
    ['state', `${state}, attempt ${attempt} of ${attempts}`],
    ['queue', queue],
    ['started by', schedule === undefined ? source : `${source} ${schedule}`],
    ['restart of', run.restartOf],
    ['restarted as', run.restartedAs],
    ['created', ago(run.createdAt, now)],
    ['held', run.held],
    ['not before', run.notBefore],
    ['took', run.startedAt === undefined ? undefined : took(run, now)],
    ['worker', worker],
    ['progress', progress === undefined ? undefined : progressText(progress)],
    [
      'cancel',
      cancel === undefined
        ? undefined
        : `by ${cancel.by}${cancel.reason === undefined ? '' : `: ${cancel.reason}`}`,
    ],
    ['reason', run.reason],
    ['input', JSON.stringify(run.input)],
    ['result', run.result === undefined ? undefined : JSON.stringify(run.result)],
    ['error', error?.message],
    [
      'log',
      run.logLines === 0
        ? undefined
        : `${run.logLines} ${run.logLines === 1 ? 'line' : 'lines'}; 'signalbox runs log ${id}' prints them`,
    ],
  ]
  const rows = facts.flatMap(([name, value]) =>
    value === undefined ? [] : [[`  ${name}`, printable(value)]],
  )
  const steps = run.timeline.map((step) => [
    `  ${step.at}`,
    step.state,
    String(step.attempt),
    printable([step.worker, step.note].filter((part) => part !== undefined).join(', ')),
  ])
  const stack = error?.stack === undefined ? '' : `\n${error.stack.split('\n').map(printable).join('\n')}\n`
  return `${id}\n${table(rows)}\n${table([['  WHEN', 'STATE', 'ATTEMPT', ''], ...steps])}${stack}`
}

export function jobListText(jobs: readonly JobView[], now: number): string {
  if (jobs.length === 0) return 'No jobs. A worker tells which ones it runs when it starts.\n'
  const rows = jobs.map(({ name, queue, workers, seenAt, runs, description = '' }) => [
    name,
    queue,
    workers === 0 ? `none, last ${ago(seenAt, now)}` : String(workers),
    ...(['queued', 'running', 'succeeded', 'failed'] as const).map((state) => countText(runs[state])),
    printable(description.split('\n')[0] ?? '').slice(0, MAX_WHY),
  ])
  return table([['JOB', 'QUEUE', 'WORKERS', 'QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', ''], ...rows])
}

export function jobText(job: JobView, now: number): string {
  const { name, description, queue, attempts, timeoutMs, onLost, workers, seenAt, runs, input, secrets } = job
  const parameters = parametersOf(job)
  const facts: [string, string | undefined][] = [
    ['about', description],
    ['queue', queue],
    ['attempts', String(attempts)],
    ['time-out', timeoutMs === undefined ? undefined : formatDuration(timeoutMs)],
    ['worker lost', onLostText(onLost)],
    ['workers', workers === 0 ? `none, last seen ${ago(seenAt, now)}` : String(workers)],
    [
      'runs',
      Object.entries(runs)
        .map(([state, count]) => `${countText(count)} ${state}`)
        .join(', ') || 'none',
    ],
    ['secrets', secrets === undefined || secrets.length === 0 ? undefined : secrets.join(', ')],
    ['input', input === undefined || parameters !== undefined ? undefined : JSON.stringify(input)],
  ]
  const rows = facts.flatMap(([fact, value]) =>
    value === undefined ? [] : [[`  ${fact}`, printable(value)]],
  )
  return `${name}\n${table(rows)}${parametersText(parameters)}`
}

function parametersText(parameters: readonly Parameter[] = []): string {
  if (parameters.length === 0) return ''
  const rows = parameters.map(({ name, type, required, secret, description, default: usual }) => {
    const notes = [
      required ? 'required' : usual === undefined ? '' : `default ${JSON.stringify(usual)}`,
      secret ? 'secret' : '',
    ]
    const about = [notes.filter((note) => note !== '').join(', '), description ?? '']
    return [`  ${name}`, type, ...about].map(printable)
  })
  return `\n${table([['  PARAMETER', 'TYPE', '', ''], ...rows])}`
}

function onLostText(onLost: JobView['onLost']): string {
  if (onLost === undefined) return 'tried again; a run that a schedule made ends as lost'
  return onLost === 'retry' ? 'tried again' : 'the run ends as lost'
}

function countText(count: { readonly count: number; readonly more: boolean } | undefined): string {
  return count === undefined ? '0' : `${count.count}${count.more ? '+' : ''}`
}

function progressText({ done, total, text }: NonNullable<RunView['progress']>): string {
  const numbers = done === undefined ? '' : total === undefined ? String(done) : `${done} of ${total}`
  return [numbers, text ?? ''].filter((part) => part !== '').join(', ')
}

function ago(time: string, now: number): string {
  return `${formatDuration(Math.max(0, now - Date.parse(time)))} ago`
}

function took({ startedAt, durationMs, state }: RunRow | RunView, now: number): string {
  if (durationMs !== undefined) return formatDuration(durationMs)
  return startedAt === undefined || state !== 'running'
    ? '-'
    : formatDuration(Math.max(0, now - Date.parse(startedAt)))
}
