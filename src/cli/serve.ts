/**
 * `signalbox serve`: runs the server until it is told to stop. SIGTERM or SIGINT stop it gracefully (exit 0), a second
 * one at once; a defect ends it with one log line and exit code 70.
 */
import { Command, Option } from 'commander'
import { systemClock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import { configKeys, type ConfigKey } from '../server/config/keys.ts'
import { loadConfig } from '../server/config/load.ts'
import type { Terminal } from './terminal.ts'
import { onCrash } from './crash.ts'
import { stopRequested } from './stop-requested.ts'

export function serveCommand(terminal: Terminal, setExitCode: (code: number) => void): Command {
  const command = new Command('serve').description(
    'Run the server: HTTP API and console, on the embedded store or a cloud store',
  )
  const keyOf = new Map<string, string>()
  for (const key of configKeys) {
    const option = flagFor(key)
    if (option === undefined) continue
    command.addOption(option)
    keyOf.set(option.attributeName(), key.path)
  }
  command.option('--config <file>', 'configuration file; ./signalbox.yaml is read if it is there')
  command.addHelpText(
    'after',
    '\nEvery key can also be set in the file or by environment: docs/configuration.md.',
  )

  return command.action(async ({ config: file, ...flags }: Record<string, unknown> & { config?: string }) => {
    const loaded = await loadConfig({
      cwd: terminal.cwd,
      env: terminal.env,
      file,
      flags: Object.fromEntries(
        Object.entries(flags).map(([name, value]) => [keyOf.get(name) ?? name, value]),
      ),
    })
    const { config, warnings } = loaded
    const [{ createLogger }, { startServer }] = await Promise.all([
      import('../server/logger.ts'),
      import('../server/serve.ts'),
    ])
    const logger = createLogger(config.log, terminal.stdout.isTTY === true)
    onCrash((error) => logger.fatal({ err: error }, 'crashed'))
    for (const warning of warnings) logger.warn(warning)
    const stopped = stopRequested()
    const workers =
      config.jobs.folder === undefined
        ? undefined
        : (await import('./serve/job-workers.ts')).jobWorkers(loaded, config.jobs.folder, {
            ...terminal,
            logger,
          })
    const server = await startServer(config, {
      clock: systemClock,
      random: systemRandom,
      logger,
      command: typedCommand(terminal.argv, terminal.env),
      grpcCommand: typedCommand(terminal.argv, terminal.env, '--grpc-port'),
      ...(workers === undefined ? {} : { moreMetrics: () => workers.metrics() }),
    })
    workers?.start()
    const failure = await Promise.race([stopped, ...(workers === undefined ? [] : [workers.ended])])
    if (failure !== undefined) setExitCode(failure)
    else await workers?.stop()
    await server.close()
  })
}

function flagFor({ flag, type, meaning, defaultValue }: ConfigKey): Option | undefined {
  if (flag === undefined) return undefined
  if (type === 'boolean') return new Option(flag, meaning)
  const shown = defaultValue === undefined ? meaning : `${meaning} (default: ${defaultValue})`
  return new Option(`${flag} <${type.replaceAll(' ', '-')}>`, shown)
}

/**
 * The command line to repeat with another port, as it was typed: `npm start --`, `npx signalbox serve --data-dir x`.
 * @param argv from the command's name on
 * @param flag the port's, which is left out
 */
export function typedCommand(argv: readonly string[], env: Terminal['env'], flag = '--port'): string {
  const program = env['npm_command'] === 'exec' ? 'npx signalbox serve' : 'signalbox serve'
  const start = env['npm_lifecycle_event'] === 'start' ? 'npm start --' : program
  const rest = argv
    .slice(1)
    .filter((arg, i, all) => arg !== flag && !arg.startsWith(`${flag}=`) && all[i - 1] !== flag)
  return [
    start,
    ...rest.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", String.raw`'\''`)}'`)),
  ].join(' ')
}
