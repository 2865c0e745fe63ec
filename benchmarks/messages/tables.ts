/** The figures as tables in Markdown, and how flat they are over the depth of a queue. */
import type { Summary } from '../support/statistics.ts'
import type { EmbeddedRow } from './embedded.ts'
import type { EngineRow } from './engine.ts'
import type { SqsRow } from './on-sqs.ts'

type DepthRow = EngineRow | EmbeddedRow

/** The deepest queue as a multiple of the shallowest, median by median: of the rate, and of all CPU for each message. */
export function flatness(rows: readonly DepthRow[]): Record<string, { rate: number; cpu: number }> {
  const depths = rows.map(({ depth }) => depth)
  const at = (depth: number, callers: number, what: 'send' | 'consume') => {
    const figures = rows.find((row) => row.depth === depth && callersOf(row) === callers)?.[what]
    if (figures === undefined) return { rate: NaN, cpu: NaN }
    const cpu = 'cpu' in figures ? figures.cpu : figures.together
    return { rate: figures.perSecond.median, cpu: cpu.median }
  }
  const found: Record<string, { rate: number; cpu: number }> = {}
  for (const callers of [1, 64]) {
    for (const what of ['send', 'consume'] as const) {
      const deep = at(Math.max(...depths), callers, what)
      const shallow = at(Math.min(...depths), callers, what)
      found[`${what}, ${callers}`] = { rate: deep.rate / shallow.rate, cpu: deep.cpu / shallow.cpu }
    }
  }
  return found
}

function callersOf(row: DepthRow): number {
  return 'clients' in row ? row.clients : row.callers
}

function show({ median, min, max }: Summary, digits = 0): string {
  const text = (n: number): string =>
    n.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return `${text(median)} (${text(min)}–${text(max)})`
}

export function sqsTable(rows: readonly SqsRow[]): string {
  const head =
    '| way | messages/s | CPU µs a message: client | sidecar | together | rate, × tuned | CPU, × tuned |\n|---|---|---|---|---|---|---|'
  const lines = rows.map(({ way, perSecond, client, sidecar, together, rateRatio, cpuRatio }) =>
    [way, show(perSecond), show(client, 1), show(sidecar, 1), show(together, 1)]
      .concat(show(rateRatio, 2), show(cpuRatio, 2))
      .join(' | '),
  )
  return [head, ...lines.map((text) => `| ${text} |`)].join('\n')
}

export function depthTable(rows: readonly DepthRow[]): string {
  const cpu = (figures: EngineRow['send'] | EmbeddedRow['send']): string =>
    'cpu' in figures
      ? `${figures.cpu.median.toFixed(1)} µs`
      : `${figures.client.median.toFixed(1)} + ${figures.sidecar.median.toFixed(1)} µs`
  const lines = rows.map((row) => {
    const cells = [row.send, row.consume].map((f) => `${show(f.perSecond)}, ${cpu(f)}`)
    return `| ${row.depth.toLocaleString('en')} | ${callersOf(row)} | ${cells.join(' | ')} |`
  })
  return ['| deep | clients | sends/s, CPU | receives with acks/s, CPU |\n|---|---|---|---|', ...lines].join(
    '\n',
  )
}
