/**
 * What the commands print: results on standard output, everything else on standard error, errors as one line each.
 * With `--json` both are JSON.
 */
import { toSignalboxError, type SignalboxError } from '../kernel/error.ts'
import type { Terminal } from './terminal.ts'

/**
 * Prints an error: `signalbox: <message>`, or `{ "error": { code, message, details } }`.
 * @returns the exit code
 */
export function printError(
  thrown: unknown,
  output: Pick<Terminal, 'stderr'>,
  options: { readonly json: boolean },
): number {
  const error = toSignalboxError(thrown)
  output.stderr.write(options.json ? `${JSON.stringify({ error: errorView(error) })}\n` : errorLines(error))
  return error.facts.exit
}

/** A line that says something without failing. */
export function printWarning(text: string, output: Pick<Terminal, 'stderr'>): void {
  output.stderr.write(`signalbox: warning: ${text}\n`)
}

/** Columns, aligned, two spaces apart; the last one is not padded. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('')
}

function errorLines(error: SignalboxError): string {
  const text =
    error.code === 'internal'
      ? `internal error: ${error.message}; this is a defect, please report it`
      : error.message
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line) => `signalbox: ${line}\n`).join('')
}

function errorView({ code, message, details }: SignalboxError): object {
  return Object.keys(details).length === 0 ? { code, message } : { code, message, details }
}
