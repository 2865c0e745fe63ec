/**
 * The Terraform modules are formatted, valid, documented and used by their examples. Formatting needs a formatter: CI fails
 * without one. Validation needs the providers, which come from the network: where they do not come, the output says so.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { argument, block, blocks, folder, source, unquoted, type Block } from './hcl.ts'
import { call, copyOfAll, formatters, temporaryFolder, terraform } from './tools.ts'

const modules = ['messages-aws', 'schedules-aws', 'turns-aws', 'turns-gcp', 'voting-aws']
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.tf'),
)
const examples = modules.flatMap((module) =>
  readdirSync(join(folder, module, 'examples')).map((name) => ({
    module,
    example: join(module, 'examples', name),
  })),
)
const PROVIDERS_WITHIN_MS = 120_000

function variables(module: string): Block[] {
  return blocks(source(module)).filter(({ type }) => type === 'variable')
}

/** Why the registry did not give a provider; undefined when it answered. */
function outOfReach(out: string): string | undefined {
  return /could not connect to [\w.-]+|no such host|connection refused|timeout|Client\.Timeout/i.exec(
    out.replaceAll(/\s+/g, ' '),
  )?.[0]
}

/** Why the first example could not be validated: the others need not wait for it again. */
let unreachable: string | undefined

if (terraform === undefined) {
  console.warn(
    'terraform (or tofu) is not installed: nothing is evaluated or validated, the text of the modules alone is read',
  )
}

describe('formatting', () => {
  it('has a formatter to check with', (context) => {
    if (formatters.length > 0) return
    const missing =
      'no formatter: install terraform, or run GOBIN="$PWD/.cache/bin" go install github.com/hashicorp/hcl/v2/cmd/hclfmt@v2.24.0'
    if (process.env['CI']) throw new Error(missing)
    console.warn(missing)
    context.skip(missing)
  })

  it.each(formatters)('satisfies $name', ({ check }) => {
    const { code, out } = check(files.map((name) => join(folder, name)))
    expect(code, out).toBe(0)
  })

  it.each(formatters)('would not satisfy $name with one argument out of line', ({ check }) => {
    const text = readFileSync(join(folder, 'turns-aws/main.tf'), 'utf8')
    const crooked = join(temporaryFolder(), 'main.tf')
    writeFileSync(crooked, text.replace('  hash_key                    =', '  hash_key =')) // was aligned
    expect(check([crooked]).code).not.toBe(0)
  })
})

describe.each(modules)('%s', (module) => {
  const readme = readFileSync(join(folder, module, 'README.md'), 'utf8')

  it('says of each variable and output what it is', () => {
    const declared = blocks(source(module)).filter(({ type }) => type === 'variable' || type === 'output')
    expect(
      declared
        .filter(({ body }) => !/^"[A-Z].*\."$/.test(argument(body, 'description') ?? ''))
        .map((b) => b.labels),
    ).toEqual([])
    expect(
      variables(module)
        .filter(({ body }) => argument(body, 'type') === undefined)
        .map((b) => b.labels),
    ).toEqual([])
  })

  it('lists every variable, with its default, and every output in its README, and no other', () => {
    const row = ({ type, labels, body }: Block): string => {
      const description = unquoted(argument(body, 'description'))
      const fallback = argument(body, 'default')
      const cells = type === 'output' ? [] : [fallback === undefined ? 'required' : `\`${fallback}\``]
      return `| ${[`\`${labels[0]}\``, ...cells, description].join(' | ')} |`
    }
    const rows = readme.split('\n').filter((line) => /^\| `[a-z_]+` \|/.test(line))
    const declared = blocks(source(module)).filter(({ type }) => type === 'variable' || type === 'output')
    expect(rows.toSorted()).toEqual(declared.map(row).toSorted())
  })

  it('keeps its provider within major versions that were looked at', () => {
    const terraformBlock = block(source(module), 'terraform').body
    expect(unquoted(argument(terraformBlock, 'required_version'))).toBe('>= 1.5')
    expect(terraformBlock).toMatch(/version = ">= \d+\.\d+, < \d+\.0"/)
  })

  it('links to what exists', () => {
    const links = [...readme.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)].map(([, to = '']) => to)
    expect(links.filter((to) => !existsSync(join(folder, module, to)))).toEqual([])
  })
})

describe.each(examples)('$example', ({ module, example }) => {
  const used = block(source(example), 'module', module.split('-')[0] ?? '').body

  it('uses the module with its required inputs and no unknown ones', () => {
    const known = variables(module).map(({ labels: [name] }) => name)
    const required = variables(module).filter(({ body }) => argument(body, 'default') === undefined)
    const given = [...used.matchAll(/^(\w+)\s+=/gm)].map(([, name]) => name)
    expect(given).toEqual(expect.arrayContaining(required.map(({ labels: [name] }) => name)))
    expect(given.filter((name) => name !== 'source' && !known.includes(name ?? ''))).toEqual([])
    expect(argument(used, 'source')).toBe('"../.."')
  })

  it(
    'is valid to the provider, where that can be fetched',
    { timeout: PROVIDERS_WITHIN_MS + 60_000 },
    (context) => {
      if (terraform === undefined) return context.skip('terraform is not installed')
      if (unreachable !== undefined) return context.skip(unreachable)
      const cwd = join(copyOfAll(), example)
      const fetched = call(terraform, ['init', '-backend=false', '-input=false', '-no-color'], {
        cwd,
        timeoutMs: PROVIDERS_WITHIN_MS,
      })
      if (fetched.code !== 0) {
        const why =
          fetched.code === null ? `no answer within ${PROVIDERS_WITHIN_MS / 1000} s` : outOfReach(fetched.out)
        expect(why, fetched.out).toBeDefined() // Anything else that init objects to is in our files.
        unreachable = why
        console.warn(`${example} is not validated, its provider cannot be fetched: ${why}`)
        return context.skip(why)
      }
      const { code, out } = call(terraform, ['validate', '-no-color'], { cwd })
      expect(code, out).toBe(0)
      return undefined
    },
  )
})
