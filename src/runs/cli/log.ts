/** `runs log`: the lines of a run, all at once or as they come. */
import { printable } from '../../cli/text.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import type { LoggedLine, RunsApi } from '../api.ts'
import { hasEnded } from '../state.ts'

export interface LogOptions {
  readonly json: boolean
  readonly write: (lines: string) => void
}

const PAGE = 1_000
const LOOK_AGAIN_MS = 1_000

/** Writes the lines after number `after`. @returns the number of the last one */
export async function wholeLog(
  runs: Pick<RunsApi, 'readLog'>,
  id: string,
  { json, write }: LogOptions,
  after = 0,
): Promise<number> {
  let last = after
  for (let more = true; more;) {
    const page = await runs.readLog(id, { after: last, limit: PAGE })
    const text = page.lines.map(json ? (line) => `${JSON.stringify(line)}\n` : lineText)
    if (text.length > 0) write(text.join(''))
    last = page.lines.at(-1)?.n ?? last
    more = page.next !== undefined
  }
  return last
}

/** The same until the run has ended. */
export async function followLog(
  runs: Pick<RunsApi, 'readLog' | 'get'>,
  id: string,
  options: LogOptions & { readonly clock: Clock },
): Promise<void> {
  for (let last = 0; ;) {
    const { state } = await runs.get(id)
    last = await wholeLog(runs, id, options, last)
    if (hasEnded(state)) return
    await sleep(options.clock, LOOK_AGAIN_MS)
  }
}

function lineText({ at, level, text, fields }: LoggedLine): string {
  const time = new Date(at).toISOString().slice(11, 23)
  const more = fields === undefined || Object.keys(fields).length === 0 ? '' : ` ${JSON.stringify(fields)}`
  const lines = `${text}${more}`.split('\n').map(printable)
  return `${time} ${level.padEnd(5)} ${lines.join('\n  ')}\n`
}
