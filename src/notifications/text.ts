/** An event for people: a title, facts, and what others wrote, which whoever shows it keeps apart. */
import { textOf, viewOf, type Event, type Links } from './event.ts'

export interface Facts {
  /** One line, of names and numbers alone. */
  readonly title: string
  readonly facts: readonly (readonly [name: string, value: string])[]
  /** Errors and reasons: written by jobs and people, without control characters. */
  readonly said: readonly string[]
  readonly url: string | undefined
}

export function factsOf(event: Event, links: Links): Facts {
  const { data, timestamp } = viewOf(event, links)
  const facts: (readonly [string, string | undefined])[] = [
    ['job', event.kind === 'test' ? undefined : data.job],
    ['run', data.run],
    ['scheduled for', data.scheduledAt],
    ['at', timestamp],
    ['attempt', data.attempt === undefined ? undefined : String(data.attempt)],
    ['since', data.since],
    ['by', data.by === undefined ? undefined : oneLine(data.by)],
  ]
  const said = [data.error, data.reason].flatMap((text) => (text === undefined ? [] : [manyLines(text)]))
  return {
    title: oneLine(textOf(event)),
    facts: facts.filter((fact): fact is readonly [string, string] => fact[1] !== undefined),
    said: [...new Set(said)],
    url: data.url,
  }
}

/** Of the lines of an e-mail; each ends with a newline. */
export function mailText(event: Event, links: Links): { readonly subject: string; readonly text: string } {
  const { title, facts, said, url } = factsOf(event, links)
  const width = Math.max(...facts.map(([name]) => name.length))
  const lines = facts.map(([name, value]) => `${`${name}:`.padEnd(width + 2)}${value}`)
  const blocks = [[title], lines, ...said.map((text) => [text]), ...(url === undefined ? [] : [[url]])]
  const { schedule, job } = event
  const subject = event.kind === 'repeated' ? `${schedule ?? job}: repeated problems` : title
  return {
    subject: `[Signalbox] ${oneLine(subject)}`.slice(0, MAX_SUBJECT),
    text: `${blocks.map((block) => block.join('\n')).join('\n\n')}\n`,
  }
}

const MAX_SUBJECT = 140

/** Without anything that would end a header or hide text. */
function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
}

function manyLines(text: string): string {
  return text
    .split(/\r\n|[\r\n\u2028\u2029]/)
    .map((line) => line.replaceAll('\t', '  ').replaceAll(/[\p{Cc}\p{Cf}]+/gu, '?'))
    .join('\n')
}
