/** The flags that say where turns are taken, the same for every command; `cli/engine.ts` has the rule. */
import { Option, type Command } from 'commander'

const GROUP = 'Where turns are taken:'

const OPTIONS = [
  ['--url <url>', 'the server (default: SIGNALBOX_URL)'],
  ['--data-dir <directory>', 'the server that owns this directory (default: SIGNALBOX_DATA_DIR, ./data)'],
  [
    '--backend <backend>',
    'server, or without one aws (dynamodb) or gcp (firestore) (default: SIGNALBOX_BACKEND, server)',
  ],
  [
    '--queue-table <name>',
    'aws, gcp: table or collection (default: SIGNALBOX_QUEUE_TABLE, github-actions-dynamo-q-queue)',
  ],
  ['--gcp-project <id>', 'gcp: project (default: SIGNALBOX_GCP_PROJECT, GCP_PROJECT, GOOGLE_CLOUD_PROJECT)'],
  ['--gcp-database <id>', 'gcp: Firestore database (default: SIGNALBOX_GCP_DATABASE, github-dynamoq)'],
  ['--firestore-database <id>', 'the same as --gcp-database'],
  [
    '--guard <on|off>',
    'aws, gcp: wait for and hold back jobs of the dynamo-q tool on the same table; off when there are none (default: SIGNALBOX_GUARD, on)',
  ],
] as const

/** Adds them to a command. */
export function whereOptions(command: Command): Command {
  for (const [flags, what] of OPTIONS) command.addOption(new Option(flags, what).helpGroup(GROUP))
  return command
}
