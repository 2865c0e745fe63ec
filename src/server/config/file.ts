/**
 * Reads `signalbox.yaml`: every value with the line it stands on, `${NAME}` placeholders filled in from the environment.
 * It knows the shape of the file (sections, keys) but does not judge values.
 */
import { readFileSync } from 'node:fs'
import {
  LineCounter,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isScalar,
  parseDocument,
  type Document,
  type Node,
  type YAMLMap,
} from 'yaml'
import type { Environment, Setting } from './load.ts'
import { configKeys, configSections } from './keys.ts'
import { AWS_SETTINGS, awsSettings } from './trigger-values.ts'

export interface FileContents {
  readonly settings: readonly Setting[]
  /** One line each, with file and line. */
  readonly problems: readonly string[]
}

/**
 * @param file opened as given
 * @param shown what messages call it
 */
export function readConfigFile(file: string, shown: string, env: Environment): FileContents {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unreadable'
    const why = code === 'ENOENT' ? 'no such file' : `cannot be read (${code})`
    return {
      settings: [],
      problems: [`${shown}: ${why}; name a readable file with --config or SIGNALBOX_CONFIG`],
    }
  }
  return new FileReader(shown, env).read(text)
}

class FileReader {
  readonly #shown: string
  readonly #env: Environment
  readonly #lines = new LineCounter()
  readonly #settings: Setting[] = []
  readonly #problems: string[] = []

  constructor(shown: string, env: Environment) {
    this.#shown = shown
    this.#env = env
  }

  read(text: string): FileContents {
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false })
    for (const error of document.errors) {
      this.#problem(error.pos[0], `not valid YAML: ${error.message.replaceAll(/\s+/g, ' ')}`)
    }
    if (document.errors.length === 0 && document.contents !== null) {
      this.#section(document, document.contents, '')
    }
    return { settings: this.#settings, problems: this.#problems }
  }

  #section(document: Document.Parsed, node: Node, prefix: string): void {
    const content = resolved(document, node)
    if (isScalar(content) && content.value === null) return // a section with nothing in it
    if (!isMap(content)) {
      const what = prefix === '' ? 'the file' : prefix
      this.#problem(
        offsetOf(node),
        `${what}: is not a section; write its keys below it, each as 'key: value'`,
      )
      return
    }
    for (const { key, value } of content.items) {
      const name = isScalar(key) ? String(key.value) : String(key)
      this.#entry(document, prefix === '' ? name : `${prefix}.${name}`, key as Node, value as Node | null)
    }
  }

  #entry(document: Document.Parsed, path: string, key: Node, value: Node | null): void {
    const offset = offsetOf(value ?? key)
    if (configSections.includes(path)) {
      if (value !== null) this.#section(document, value, path)
    } else if (configKeys.some((known) => known.path === path)) {
      const read = (): unknown => (value === null ? null : resolved(document, value)?.toJS(document))
      this.#setting(path, offset, read, (inner) => this.#lineAt(document, value, inner) ?? offset)
    } else if (path === AWS_SETTINGS && isMap(value)) {
      this.#awsSettings(document, value)
    } else {
      this.#problem(offsetOf(key), `${path}: unknown key; ${suggestion(path)}`)
    }
  }

  /** That section in the words of the program our users had before. */
  #awsSettings(document: Document.Parsed, section: YAMLMap): void {
    for (const { key, value } of section.items) {
      const name = isScalar(key) ? String(key.value) : String(key)
      const path = awsSettings[name]
      const node = (value ?? key) as Node
      if (path === undefined) {
        const known = Object.keys(awsSettings).join(', ')
        this.#problem(offsetOf(key as Node), `${AWS_SETTINGS}.${name}: unknown key; it has ${known}`)
      } else {
        const read = (): unknown => (value === null ? null : resolved(document, node)?.toJS(document))
        this.#setting(path, offsetOf(node), read, () => offsetOf(node))
      }
    }
  }

  #setting(
    path: string,
    offset: number,
    read: () => unknown,
    offsetAt: (inner: readonly PropertyKey[]) => number,
  ): void {
    const at = (position: number): string => `${this.#shown}:${this.#lines.linePos(position).line}`
    const where = at(offset)
    try {
      const whereIn = (inner: readonly PropertyKey[]): string => at(offsetAt(inner))
      this.#settings.push({ path, raw: filled(read(), this.#env), where, whereIn })
    } catch (error) {
      this.#problems.push(`${where}: ${path}: ${(error as Error).message}`)
    }
  }

  /** Where the innermost part of a list or section stands that is there. */
  #lineAt(document: Document.Parsed, value: Node | null, inner: readonly PropertyKey[]): number | undefined {
    let node: unknown = value
    let offset: number | undefined
    for (const step of inner) {
      const within: unknown = isAlias(node) ? node.resolve(document) : node
      node = isCollection(within) ? within.get(step, true) : undefined
      if (isNode(node)) offset = offsetOf(node)
    }
    return offset
  }

  #problem(offset: number, text: string): void {
    this.#problems.push(`${this.#shown}:${this.#lines.linePos(offset).line}: ${text}`)
  }
}

/** Placeholders filled in wherever there is text in it. */
function filled(raw: unknown, env: Environment): unknown {
  if (typeof raw === 'string') return fillPlaceholders(raw, env)
  if (Array.isArray(raw)) return raw.map((item) => filled(item, env))
  if (typeof raw !== 'object' || raw === null) return raw
  return Object.fromEntries(Object.entries(raw).map(([name, value]) => [name, filled(value, env)]))
}

/**
 * `${NAME}` and `${NAME:-default}` filled in (an empty variable takes the default, as in a shell); `$$` is a plain `$`.
 * @throws Error whose message says which variable is missing
 */
export function fillPlaceholders(text: string, env: Environment): string {
  return text.replaceAll(/\$\$|\$\{([^}]*)(\}?)/g, (whole: string, inner: string, end: string) => {
    if (whole === '$$') return '$'
    const match = end === '' ? null : /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(inner)
    if (match === null) {
      throw new Error(
        `'${whole}' is not a placeholder; write \${NAME} or \${NAME:-default}, or $$ for a plain $`,
      )
    }
    const [, name = '', fallback] = match
    const value = env[name]
    if (fallback !== undefined) return value === undefined || value === '' ? fallback : value
    if (value === undefined) {
      throw new Error(`\${${name}} is not set; set the variable ${name} or write \${${name}:-default}`)
    }
    return value
  })
}

/** What could have been meant by an unknown key. */
function suggestion(path: string): string {
  const section = path.split('.').slice(0, -1).join('.')
  if (section !== '') {
    const names = configKeys.flatMap((k) => {
      return k.path.startsWith(`${section}.`) ? (k.path.slice(section.length + 1).split('.', 1)[0] ?? []) : []
    })
    return `${section} has ${[...new Set(names)].join(', ')}`
  }
  const inside = configKeys.filter((k) => k.path.endsWith(`.${path}`)).map((k) => k.path)
  if (inside.length > 0) return `did you mean ${inside.join(' or ')}?`
  const top = configKeys.filter((k) => !k.path.includes('.')).map((k) => k.path)
  const sections = configSections.filter((section) => !section.includes('.'))
  return `there are ${[...top, ...sections].join(', ')}`
}

function resolved(document: Document.Parsed, node: Node): Node | undefined {
  return isAlias(node) ? node.resolve(document) : node
}

function offsetOf(node: Node): number {
  return node.range?.[0] ?? 0
}
