/**
 * The programs that may be on this machine: Terraform (or OpenTofu), and hclfmt, which formats as they do and can be installed
 * where they cannot.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { blocks, folder, source } from './hcl.ts'

const root = resolve(import.meta.dirname, '../..')
const created = new Set<string>()
process.on('exit', () => {
  for (const at of created) rmSync(at, { recursive: true, force: true })
})

export interface Ran {
  readonly code: number | null
  /** Standard output and error. */
  readonly out: string
}

/** Runs a program to its end, or until `timeoutMs` have passed: then its code is null. */
export function call(
  program: string,
  args: readonly string[],
  options: { cwd?: string; timeoutMs?: number } = {},
): Ran {
  const cache = join(root, '.cache/terraform')
  mkdirSync(cache, { recursive: true })
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    TF_IN_AUTOMATION: '1',
    CHECKPOINT_DISABLE: '1',
    TF_PLUGIN_CACHE_DIR: cache,
    TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE: '1',
  }
  // Terraform warns into every output when this names a file that does not exist.
  if (!existsSync(env['TF_CLI_CONFIG_FILE'] ?? '')) delete env['TF_CLI_CONFIG_FILE']
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: options.cwd ?? root,
    env,
    encoding: 'utf8',
    timeout: options.timeoutMs ?? 60_000,
    killSignal: 'SIGKILL',
  })
  return { code: status, out: `${stdout ?? ''}${stderr ?? ''}` }
}

function works(program: string, ...args: readonly string[]): boolean {
  return call(program, args).code === 0
}

/** Terraform or what stands in for it; undefined where neither is installed. */
export const terraform = ['terraform', 'tofu'].find((program) => works(program, 'version'))

export interface Formatter {
  readonly name: string
  /** Whether these files need no change, and what the program said. */
  readonly check: (files: readonly string[]) => Ran
}

/** Every formatter on this machine. */
export const formatters: readonly Formatter[] = [
  ...(terraform === undefined
    ? []
    : [
        {
          name: `${terraform} fmt`,
          check: (files: readonly string[]) => call(terraform, ['fmt', '-check', '-diff', ...files]),
        },
      ]),
  ...['hclfmt', join(root, '.cache/bin/hclfmt')]
    .filter((program) => works(program, '-version'))
    .slice(0, 1)
    .map((program) => ({
      name: 'hclfmt',
      check: (files: readonly string[]) => call(program, ['-check', '-require-no-change', ...files]),
    })),
]

export function temporaryFolder(): string {
  const at = mkdtempSync(join(tmpdir(), 'signalbox-terraform-'))
  created.add(at)
  return at
}

/** A copy of deploy/terraform, for `init` to write into. */
export function copyOfAll(): string {
  const at = temporaryFolder()
  cpSync(folder, at, { recursive: true })
  return at
}

/** What a cloud would answer, for the references to resources in a module's locals. */
const answers: Readonly<Record<string, string>> = {
  aws_caller_identity: '123456789012',
  aws_dynamodb_table: 'arn:aws:dynamodb:eu-central-1:123456789012:table/turns',
  aws_iam_openid_connect_provider:
    'arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com',
  aws_iam_role: 'arn:aws:iam::123456789012:role/role',
  aws_partition: 'aws',
  aws_region: 'eu-central-1',
  aws_sqs_queue: 'arn:aws:sqs:eu-central-1:123456789012:orders',
  google_firestore_database: 'github-dynamoq',
}

export interface Evaluated extends Ran {
  /** The module's locals that were asked for. */
  readonly values: Readonly<Record<string, unknown>>
}

/**
 * Terraform's own evaluation of a module's variables (with their validation) and locals for an input. It needs no provider and no
 * network: the resources are left out, and references to them are replaced by what a cloud would answer.
 */
export function evaluate(
  module: string,
  input: Readonly<Record<string, unknown>>,
  locals: readonly string[],
): Evaluated {
  const kept = blocks(source(module)).filter(({ type }) => type === 'variable' || type === 'locals')
  const text = kept
    .map((block) => block.text)
    .join('\n\n')
    .replaceAll(/(?:data\.)?((?:aws|google)_\w+)\.\w+(?:\[\d+\])?\.\w+/g, (_, type: string) =>
      JSON.stringify(answers[type]),
    )
  const outputs = locals.map((name) => `output "${name}" {\n  value = local.${name}\n}\n`)
  const cwd = temporaryFolder()
  writeFileSync(join(cwd, 'main.tf'), `${text}\n\n${outputs.join('\n')}`)
  writeFileSync(join(cwd, 'terraform.tfvars.json'), JSON.stringify(input))
  const program = terraform ?? 'terraform'
  const applied = call(program, ['apply', '-auto-approve', '-input=false', '-no-color'], { cwd })
  if (applied.code !== 0) return { ...applied, values: {} }
  const { out } = call(program, ['output', '-json'], { cwd })
  const values = JSON.parse(out) as Record<string, { value: unknown }>
  return {
    ...applied,
    values: Object.fromEntries(Object.entries(values).map(([name, { value }]) => [name, value])),
  }
}
