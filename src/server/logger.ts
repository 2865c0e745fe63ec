/**
 * The server's log: one JSON object a line for machines, or short lines for people. Lines are written synchronously, so
 * that the last words of a dying process are not lost; there are few of them above `debug`.
 */
import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino'
import type { Config } from './config/schema.ts'

export type { Logger } from 'pino'

/** @param terminal is standard output a terminal? Decides what `auto` means. */
export function createLogger(
  { level, format }: Config['log'],
  terminal: boolean,
  out: DestinationStream = destination({ dest: 1, sync: true }),
): Logger {
  const text = format === 'text' || (format === 'auto' && terminal)
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    text ? { write: (line) => out.write(textLine(line)) } : out,
  )
}

interface LogLine {
  readonly level: string
  /** ISO 8601. */
  readonly time: string
  readonly msg?: string
  readonly err?: { readonly stack?: string }
  readonly [fact: string]: unknown
}

/** `12:03:59 WARN  message key=value …`; an error's stack follows on lines of its own. */
function textLine(json: string): string {
  const { level, time, msg, err, ...rest } = JSON.parse(json) as LogLine
  const facts = Object.entries(rest).map(([key, value]) => ` ${key}=${shown(value)}`)
  const head = `${time.slice(11, 19)} ${level.toUpperCase().padEnd(5)} ${msg ?? ''}`
  return `${head}${facts.join('')}\n${err?.stack === undefined ? '' : `${err.stack}\n`}`
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}
