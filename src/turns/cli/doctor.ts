/**
 * `turn doctor`: can turns be taken here? Checks from the configuration on, each by doing it, and says what to fix.
 *
 * Invariants: the checks come in a fixed order, each is printed as soon as it is known; one that needs what failed is skipped
 * and says so; the exit code is that of the first failure, 0 without one; a signal ends it after what it wrote is removed.
 */
import type { CliContext, Connection, ConnectOptions, Setting } from '../../cli/context.ts'
import { chooseEngine, type EngineChoice } from '../../cli/engine.ts'
import { errorCodes, isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import { fail, ok, outcomeOf, skip, skipAll, type Check, type Status } from './doctor/check.ts'
import { checksAfterConfiguration, contactChecks, examineEngine } from './doctor/engine.ts'
import { afterConfiguration as serverChecks, examineServer } from './doctor/server.ts'
import { queueArgument } from './run-request.ts'
import { exitCodeOf, type EndSignal, type SignalListener } from '../../supervisor/signals.ts'
import { printable } from '../../cli/text.ts'

export interface DoctorFlags extends ConnectOptions {
  readonly queue?: string
  readonly json?: true
}

export interface DoctorSetting extends CliContext {
  readonly listen: SignalListener
}

/** @returns the exit code. @throws SignalboxError `invalid_argument` for a queue that can have no such name */
export async function doctor(flags: DoctorFlags, setting: DoctorSetting): Promise<number> {
  const queue = flags.queue === undefined ? undefined : queueArgument(flags.queue)
  const stop = new AbortController()
  let stoppedBy: EndSignal | undefined
  const giveBack = setting.listen((name) => {
    stoppedBy ??= name
    stop.abort(new SignalboxError('cancelled', `stopped by ${name}`))
  })
  const report = new Report(setting, flags.json === true)
  try {
    for await (const check of examine({ ...flags, queue }, setting, stop.signal, report)) report.add(check)
  } catch (error) {
    if (stoppedBy === undefined) throw error
    return exitCodeOf(stoppedBy)
  } finally {
    giveBack()
  }
  return report.end()
}

type Asked = ConnectOptions & { readonly queue: string | undefined }

async function* examine(
  asked: Asked,
  setting: DoctorSetting,
  signal: AbortSignal,
  report: Report,
): AsyncGenerator<Check, void> {
  let choice: EngineChoice
  try {
    choice = chooseEngine(asked, setting.env)
  } catch (error) {
    yield fail('configuration', error)
    yield skip('others', 'not looked at: need configuration')
    return
  }
  const opened = await outcomeOf(() => setting.connect(asked))
  if ('error' in opened) {
    yield* unopened(choice, opened.error)
    return
  }
  const connection = opened.value
  try {
    signal.throwIfAborted()
    report.place = connection.describe
    yield ok('configuration', settingsText(connection.settings ?? []))
    yield* examineConnection(connection, { asked, choice, setting, signal })
  } finally {
    await connection.close()
  }
}

interface Asking {
  readonly asked: Asked
  readonly choice: EngineChoice
  readonly setting: DoctorSetting
  readonly signal: AbortSignal
}

async function* examineConnection(connection: Connection, asking: Asking): AsyncGenerator<Check, void> {
  const { turns, store, server, describe, settings = [] } = connection
  const { choice, signal } = asking
  const { clock, random } = asking.setting
  const common = { queue: asking.asked.queue, clock, random, signal }
  if (choice.backend !== 'server' && store !== undefined) {
    const { backend, guard } = choice
    yield* examineEngine({ ...common, store, backend, guard, describe })
  } else if (server !== undefined) {
    const token = settings.some(({ name }) => name === 'token')
    yield* examineServer({ ...common, turns, server, token })
  }
}

/** What could not be opened fails at the check that its error is about. */
function* unopened(choice: EngineChoice, error: unknown): Generator<Check> {
  const checks = choice.backend === 'server' ? serverChecks : checksAfterConfiguration(choice.backend)
  if (isSignalboxError(error, 'config_invalid') || isSignalboxError(error, 'invalid_argument')) {
    yield fail('configuration', error)
    yield* skipAll(checks, 'configuration')
    return
  }
  if (choice.backend === 'server') {
    yield fail('reachable', error)
    yield* skipAll(checks.slice(1), 'reachable')
    return
  }
  yield ok('configuration', settingsText(choice.settings))
  yield* contactChecks(error, choice.backend)
}

/** `region eu-west-1 (AWS_REGION), guard on (default)` */
function settingsText(settings: readonly Setting[]): string {
  return settings.map(({ name, value, from }) => `${name} ${value} (${from})`).join(', ')
}

const NAME_WIDTH = 'configuration'.length

/** Prints checks as they come, or all of them as one JSON object. */
class Report {
  /** Which server or engine it is about, for people. */
  place: string | undefined
  readonly #checks: Check[] = []
  /** Not yet printed: those that are skipped for one reason share a line. */
  #skipped: Check[] = []
  readonly #context: CliContext
  readonly #json: boolean

  constructor(context: CliContext, json: boolean) {
    this.#context = context
    this.#json = json
  }

  add(check: Check): void {
    this.#checks.push(check)
    if (this.#json) return
    if (check.status !== 'skip' || check.message !== this.#skipped[0]?.message) this.#printSkipped()
    if (check.status === 'skip') this.#skipped.push(check)
    else this.#print(check)
  }

  #printSkipped(): void {
    const [first] = this.#skipped
    if (first !== undefined) {
      this.#print({ ...first, check: this.#skipped.map(({ check }) => check).join(', ') })
    }
    this.#skipped = []
  }

  #print({ status, check, message }: Check): void {
    const line = `${status.padEnd(4)}  ${check.padEnd(NAME_WIDTH)}  ${printable(message)}`
    this.#context.stdout.write(`${line}\n`)
  }

  /** @returns the exit code */
  end(): number {
    this.#printSkipped()
    const failures = this.#all('fail')
    const { place } = this
    if (this.#json) {
      const facts = { ok: failures.length === 0, ...(place === undefined ? {} : { engine: place }) }
      this.#context.stdout.write(`${JSON.stringify({ ...facts, checks: this.#checks })}\n`)
    } else this.#context.stdout.write(`${summary(failures.length, this.#all('warn').length)}\n`)
    const [first] = failures
    return first === undefined ? 0 : errorCodes[first.code ?? 'internal'].exit
  }

  #all(status: Status): Check[] {
    return this.#checks.filter((check) => check.status === status)
  }
}

function summary(failures: number, warnings: number): string {
  const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
  if (failures > 0)
    return `${count(failures, 'failure')}${warnings > 0 ? `, ${count(warnings, 'warning')}` : ''}`
  return warnings > 0
    ? `Turns can be taken here, with ${count(warnings, 'warning')}`
    : 'Turns can be taken here'
}
