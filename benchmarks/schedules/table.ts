/** The table of `bench:schedules`, and its place in docs/performance.md: between the two marks. */
import type { Summary } from '../support/statistics.ts'

export interface Figures {
  readonly few: number
  readonly many: number
  /** Of one tick with ten due. */
  readonly tick: {
    readonly few: { readonly wallMs: Summary; readonly cpuMs: Summary }
    readonly many: { readonly wallMs: Summary; readonly cpuMs: Summary }
    readonly wallRatio: Summary
    readonly cpuRatio: Summary
  }
  readonly atOnce: { readonly runsPerSecond: Summary; readonly lastAfterMs: Summary }
  /** Milliseconds. */
  readonly lists: { readonly first: Summary; readonly thousand: Summary; readonly text: Summary }
  readonly startUp: { readonly none: Summary; readonly many: Summary }
}

const BEGIN = '<!-- bench:schedules -->'
const END = '<!-- /bench:schedules -->'

export function rows({ few, many, tick, atOnce, lists, startUp }: Figures): string {
  const all = grouped(many)
  return [
    '| what | figure |',
    '|---|---|',
    `| a tick with 10 due among ${grouped(few)} schedules, until their runs are durable | ${show(tick.few.wallMs, 2)} ms, ${show(tick.few.cpuMs, 2)} ms of CPU |`,
    `| … among ${all} | ${show(tick.many.wallMs, 2)} ms, ${show(tick.many.cpuMs, 2)} ms of CPU |`,
    `| ratio of the two | wall **${show(tick.wallRatio, 2)}**, CPU **${show(tick.cpuRatio, 2)}** |`,
    `| 1,000 due at the same time | **${show(atOnce.runsPerSecond)}** runs a second, the last one after ${show(atOnce.lastAfterMs)} ms |`,
    `| a list of ${all}: the first 50, 1,000, those with a text | ${show(lists.first)}, ${show(lists.thousand)}, ${show(lists.text)} ms |`,
    `| start-up of the server with ${all} schedules, process start to ready | ${show(startUp.many)} ms; with none ${show(startUp.none)} ms |`,
  ].join('\n')
}

/** @param page the document @throws Error when it has no place for the table */
export function figuresIn(page: string, figures: Figures): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`no ${BEGIN} … ${END} in the document`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${rows(figures)}\n\n${page.slice(end)}`
}

function show({ median, min, max }: Summary, digits = 0): string {
  return `${number(median, digits)} (${number(min, digits)}–${number(max, digits)})`
}

function number(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function grouped(value: number): string {
  return value.toLocaleString('en-US')
}
