/**
 * The format of the lease vectors, and how one scenario is judged: objects of an expectation are subsets, arrays have exact
 * length, scalars are equal.
 */
export interface Scenario {
  readonly name: string
  readonly group?: string
  readonly config?: unknown
  /** Text of the configuration file, in place of `config`, with the environment it is read in. */
  readonly raw_yaml?: string
  readonly env?: Readonly<Record<string, string>>
  readonly steps: readonly ScenarioStep[]
}

export interface ScenarioStep {
  readonly advance_seconds?: number
  readonly restart?: boolean
  readonly request?: WireRequest
  readonly expect?: Expectation
}

export interface WireRequest {
  readonly method: string
  /** The raw target. */
  readonly path: string
  readonly body?: unknown
  readonly raw_body?: string
  /** `null`: the header is not sent. */
  readonly headers?: Readonly<Record<string, string | null>>
}

export interface Expectation {
  readonly status?: number
  readonly body_subset?: unknown
  readonly body_absent?: readonly string[]
  readonly body_text?: string
  readonly body_text_contains?: readonly string[]
  readonly headers_subset?: Readonly<Record<string, string>>
}

export interface WireResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly text: string
}

/** Something that scenarios can be played against. */
export interface Player {
  advance(ms: number): Promise<void>
  restart(): Promise<void>
  send(request: WireRequest): Promise<WireResponse>
  close(): Promise<void>
}

/** The clock of every scenario starts here. */
export const START_MS = Date.UTC(2023, 0, 1, 10)

/** @returns the configuration file of a scenario; JSON is YAML */
export function configText({ raw_yaml, config }: Scenario): string {
  return raw_yaml ?? JSON.stringify(config ?? { repositories: [] })
}

/** @returns what went wrong first, as one line; undefined when all is as expected */
export async function play(scenario: Scenario, open: () => Promise<Player>): Promise<string | undefined> {
  let player: Player
  try {
    player = await open()
  } catch (error) {
    return `the server does not start: ${oneLine(error)}`
  }
  try {
    for (const [index, step] of scenario.steps.entries()) {
      const problem = await playStep(step, player)
      if (problem !== undefined) return `step ${index + 1}: ${problem}`
    }
  } catch (error) {
    return oneLine(error)
  } finally {
    await player.close()
  }
  return undefined
}

async function playStep(step: ScenarioStep, player: Player): Promise<string | undefined> {
  const { advance_seconds, restart, request, expect } = step
  if (advance_seconds !== undefined) await player.advance(Math.round(advance_seconds * 1_000))
  else if (restart === true) await player.restart()
  else if (request !== undefined) {
    const response = await player.send(request)
    const problem = mismatch(response, expect ?? {})
    if (problem !== undefined) return `${request.method} ${request.path}: ${problem}`
  } else return `a step of an unknown kind: ${JSON.stringify(step)}`
  return undefined
}

export function mismatch(response: WireResponse, expect: Expectation): string | undefined {
  const { status, text, headers } = response
  const shown = text.length > 300 ? `${text.slice(0, 300)}…` : text
  if (expect.status !== undefined && status !== expect.status)
    return `status ${status}, not ${expect.status}: ${shown}`
  if (expect.body_text !== undefined && text !== expect.body_text)
    return `the text is not ${JSON.stringify(expect.body_text)}: ${shown}`
  for (const part of expect.body_text_contains ?? []) {
    if (!text.includes(part)) return `the text lacks ${JSON.stringify(part)}: ${shown}`
  }
  for (const [name, value] of Object.entries(expect.headers_subset ?? {})) {
    if (headers[name.toLowerCase()] !== value)
      return `header ${name} is ${String(headers[name.toLowerCase()])}, not ${value}`
  }
  if (expect.body_subset === undefined && expect.body_absent === undefined) return undefined
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return `the body is no JSON: ${shown}`
  }
  const different = difference(body, expect.body_subset, '')
  if (expect.body_subset !== undefined && different !== undefined) return `${different}: ${shown}`
  const there = (expect.body_absent ?? []).find((pointer) => at(body, pointer) !== undefined)
  return there === undefined ? undefined : `${there} must be absent: ${shown}`
}

function difference(actual: unknown, expected: unknown, path: string): string | undefined {
  if (Array.isArray(expected)) {
    if (!Array.isArray(actual) || actual.length !== expected.length)
      return `${path || 'the body'} is not an array of ${expected.length}`
    return firstOf(expected.map((item, i) => difference(actual[i], item, `${path}/${i}`)))
  }
  if (typeof expected === 'object' && expected !== null) {
    if (typeof actual !== 'object' || actual === null) return `${path || 'the body'} is not an object`
    return firstOf(
      Object.entries(expected).map(([name, value]) =>
        difference((actual as Record<string, unknown>)[name], value, `${path}/${name}`),
      ),
    )
  }
  return Object.is(actual, expected)
    ? undefined
    : `${path || 'the body'} is ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`
}

function firstOf(problems: readonly (string | undefined)[]): string | undefined {
  return problems.find((problem) => problem !== undefined)
}

/** RFC 6901. */
function at(body: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>(
      (value, name) =>
        typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined,
      body,
    )
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ')
}
