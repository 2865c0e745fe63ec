/** The files by which a step tells the runner its outputs, state and environment (docs.github.com, workflow commands). */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const NAMES = ['OUTPUT', 'STATE', 'ENV', 'PATH', 'STEP_SUMMARY'] as const

export interface FileCommands {
  /** GITHUB_OUTPUT and so on, for the step's environment. */
  readonly env: Readonly<Record<string, string>>
  readonly values: (name: 'OUTPUT' | 'STATE' | 'ENV') => Record<string, string>
  readonly summary: () => string
}

/** Empty files for one step. */
export function newFileCommands(folder: string, step: number): FileCommands {
  const path = (name: string): string => join(folder, `${name.toLowerCase()}_${step}`)
  for (const name of NAMES) writeFileSync(path(name), '')
  return {
    env: Object.fromEntries(NAMES.map((name) => [`GITHUB_${name}`, path(name)])),
    values: (name) => parse(readFileSync(path(name), 'utf8')),
    summary: () => readFileSync(path('STEP_SUMMARY'), 'utf8'),
  }
}

/** `name=value`, or `name<<END` with lines up to `END`. */
function parse(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  const lines = text.split('\n')
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? ''
    const [, name, end] = /^([^=<]+)<<(.+)$/.exec(line) ?? []
    if (name !== undefined && end !== undefined) {
      const stop = lines.indexOf(end, at + 1)
      if (stop === -1) throw new Error(`no end of ${name} in a file command`)
      values[name] = lines.slice(at + 1, stop).join('\n')
      at = stop
    } else if (line.includes('=')) {
      values[line.slice(0, line.indexOf('='))] = line.slice(line.indexOf('=') + 1)
    }
  }
  return values
}
