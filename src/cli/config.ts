/**
 * `signalbox config check|print`: is the configuration right, and what does it come to?
 */
import { Command } from 'commander'
import { loadConfig, type EffectiveEntry, type LoadedConfig } from '../server/config/load.ts'
import type { Terminal } from './terminal.ts'
import { printWarning, table } from './output.ts'

interface ConfigOptions {
  readonly config?: string
  readonly json?: true
}

const FILE_HELP = 'file to read instead of ./signalbox.yaml or SIGNALBOX_CONFIG'

export function configCommand(terminal: Terminal): Command {
  const load = async (options: ConfigOptions): Promise<LoadedConfig> => {
    const loaded = await loadConfig({ cwd: terminal.cwd, env: terminal.env, file: options.config })
    for (const warning of loaded.warnings) printWarning(warning, terminal)
    return loaded
  }
  const print = (json: true | undefined, facts: object, text: string): void => {
    terminal.stdout.write(json === true ? `${JSON.stringify(facts)}\n` : text)
  }

  const group = new Command('config').description('Check or show the configuration of the server')
  group
    .command('check')
    .description('Say whether file and environment work, without starting anything')
    .option('--config <file>', FILE_HELP)
    .option('--json', 'print JSON')
    .action(async (options: ConfigOptions) => {
      const { file = null } = await load(options)
      print(
        options.json,
        { ok: true, file },
        `The configuration works (${file ?? 'no file, only environment and defaults'}).\n`,
      )
    })
  group
    .command('print')
    .description('Show the values in force and where each came from')
    .option('--config <file>', FILE_HELP)
    .option('--json', 'print JSON')
    .action(async (options: ConfigOptions) => {
      const { entries, file = null } = await load(options)
      const values = entries.map(shown)
      const rows = values.map(({ key, value, from }) => [
        key,
        value === null ? '(not set)' : typeof value === 'string' ? value : JSON.stringify(value),
        from,
      ])
      print(options.json, { file, values }, table([['KEY', 'VALUE', 'FROM'], ...rows]))
    })
  return group
}

/** One value as it may be shown: secrets are masked. */
export function shown({ key, value, where }: EffectiveEntry): { key: string; value: unknown; from: string } {
  const visible = value === undefined || !key.secret ? (value ?? null) : '********'
  return { key: key.path, value: visible, from: where }
}
