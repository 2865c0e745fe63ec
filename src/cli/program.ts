/**
 * The command line as a whole: which commands there are, and how usage errors end. A command's code is loaded only when
 * it is called, so that `--version` is instant and `turn run` never loads the server.
 */
import { Command, CommanderError } from 'commander'
import { SignalboxError } from '../kernel/error.ts'
import { version } from '../version.ts'
import { notificationsContext } from './notifications-context.ts'
import { printError } from './output.ts'
import { runsContext } from './runs-context.ts'
import { schedulesContext } from './schedules-context.ts'
import { cliContext, leaseContext, messagesContext, type Terminal } from './terminal.ts'

interface CommandSource {
  readonly name: string
  readonly summary: string
  load(terminal: Terminal, setExitCode: (code: number) => void): Promise<Command>
}

/** One line a capability. */
const sources: readonly CommandSource[] = [
  {
    name: 'serve',
    summary: 'Run the server: HTTP API and console, on the embedded store or a cloud store',
    load: async (terminal, setExitCode) => (await import('./serve.ts')).serveCommand(terminal, setExitCode),
  },
  {
    name: 'turn',
    summary: 'Take turns: run a command when its turn in a queue has come',
    load: async (terminal, setExitCode) =>
      (await import('../turns/cli.ts')).turnCommands(cliContext(terminal, setExitCode)),
  },
  {
    name: 'lease',
    summary: 'Take the lease of a merge queue: only the group that contains the others works',
    load: async (terminal, setExitCode) =>
      (await import('../leases/cli.ts')).leaseCommands(leaseContext(terminal, setExitCode)),
  },
  {
    name: 'sidecar',
    summary: 'Serve message queues to the container next door: gRPC, HTTP',
    load: async (terminal) => (await import('./sidecar.ts')).sidecarCommand(terminal),
  },
  {
    name: 'messages',
    summary: 'Send, receive and look at messages',
    load: async (terminal, setExitCode) =>
      (await import('../messages/cli.ts')).messagesCommands(messagesContext(terminal, setExitCode)),
  },
  {
    name: 'voting',
    summary: 'Run the voting service: topics, votes that count once, live results',
    load: async (terminal, setExitCode) => (await import('./voting.ts')).votingCommand(terminal, setExitCode),
  },
  {
    name: 'job',
    summary: 'List jobs, and run one now',
    load: async (terminal, setExitCode) =>
      (await import('../runs/cli.ts')).jobCommands(runsContext(terminal, setExitCode)),
  },
  {
    name: 'runs',
    summary: 'Look at runs of jobs, cancel and restart them',
    load: async (terminal, setExitCode) =>
      (await import('../runs/cli.ts')).runsCommands(runsContext(terminal, setExitCode)),
  },
  {
    name: 'schedule',
    summary: 'Say when jobs run: create, pause, preview and apply schedules',
    load: async (terminal, setExitCode) =>
      (await import('../schedules/cli.ts')).scheduleCommands(schedulesContext(terminal, setExitCode)),
  },
  {
    name: 'worker',
    summary: 'Run background jobs from modules and folders',
    load: async (terminal, setExitCode) => (await import('./worker.ts')).workerCommand(terminal, setExitCode),
  },
  {
    name: 'notifications',
    summary: 'Look at what waits for its receiver, retry and discard it, test channels',
    load: async (terminal, setExitCode) =>
      (await import('../notifications/cli.ts')).notificationsCommands(
        notificationsContext(terminal, setExitCode),
      ),
  },
  {
    name: 'token',
    summary: 'Create, list and revoke tokens for the API',
    load: async (terminal) => (await import('./token.ts')).tokenCommand(terminal),
  },
  {
    name: 'audit',
    summary: 'Show who did what',
    load: async (terminal) => (await import('./audit.ts')).auditCommand(terminal),
  },
  {
    name: 'config',
    summary: 'Check or show the configuration of the server',
    load: async (terminal) => (await import('./config.ts')).configCommand(terminal),
  },
]

/** `signalbox complete bash` prints a script; the script asks `signalbox complete -- …` at each Tab. */
const COMPLETE = 'complete'

/** Runs one command line. @returns the exit code */
export async function run(terminal: Terminal): Promise<number> {
  const json = ownArguments(terminal.argv).includes('--json')
  let exitCode = 0
  try {
    const program = await buildProgram(terminal, (code) => (exitCode = code))
    await program.parseAsync(terminal.argv, { from: 'user' })
    return exitCode
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) return printError(thrown, terminal, { json })
    if (thrown.exitCode === 0) return 0 // help or version was asked for
    const usage = new SignalboxError('invalid_argument', usageMessage(thrown, terminal.argv))
    if (thrown.code === 'commander.help') return usage.facts.exit // no command was named; the help has been printed
    return printError(usage, terminal, { json })
  }
}

async function buildProgram(terminal: Terminal, setExitCode: (code: number) => void): Promise<Command> {
  const program = new Command('signalbox')
    .description('Decides when work may run: in turn, by priority, on delivery, or on schedule.')
    .version(version, '-V, --version')
  const named = terminal.argv[0] === 'help' ? terminal.argv[1] : terminal.argv[0]
  const completing = named === COMPLETE
  for (const source of sources) {
    if (completing || source.name === named) program.addCommand(await source.load(terminal, setExitCode))
    else program.command(source.name).description(source.summary)
  }
  if (!completing) {
    const what = 'Print the completion script of a shell: bash, zsh, fish, powershell'
    program.command(COMPLETE).description(what)
  }
  adopt(program, terminal)
  if (completing) (await import('@bomb.sh/tab/commander')).default(program) // inherits what was adopted
  return program
}

/** Makes a command and those below it print to the terminal and throw instead of ending the process. */
function adopt(command: Command, terminal: Terminal): void {
  command.exitOverride()
  command.configureOutput({
    writeOut: (text) => void terminal.stdout.write(text),
    writeErr: (text) => void terminal.stderr.write(text),
    outputError: () => undefined, // `run` prints it
  })
  for (const child of command.commands) adopt(child, terminal)
}

/** `error: unknown option '--prot'⏎(Did you mean --port?)` as one line that says where help is. */
function usageMessage(error: CommanderError, argv: readonly string[]): string {
  const text = error.message
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replace(/\.$/, '')
  const named = sources.find(({ name }) => name === argv[0])
  return `${text}; see 'signalbox ${named === undefined ? '' : `${named.name} `}--help'`
}

/** Arguments before `--`; what follows belongs to the command that is to be run. */
function ownArguments(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end === -1 ? argv : argv.slice(0, end)
}
