/**
 * Reads `signalbox.yaml`: every value with the line it stands on, `${NAME}` placeholders filled in from the environment.
 * It knows the shape of the file (sections, keys) but does not judge values.
 */
import { readFileSync } from 'node:fs'
import { LineCounter, isAlias, isMap, isScalar, parseDocument, type Document, type Node } from 'yaml'
import type { Environment, Setting } from './load.ts'
import { configKeys, configSections } from './keys.ts'

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
      this.#setting(path, offset, () => (value === null ? null : resolved(document, value)?.toJS(document)))
    } else {
      this.#problem(offsetOf(key), `${path}: unknown key; ${suggestion(path)}`)
    }
  }

  #setting(path: string, offset: number, read: () => unknown): void {
    const where = `${this.#shown}:${this.#lines.linePos(offset).line}`
    try {
      const raw = read()
      const value = typeof raw === 'string' ? fillPlaceholders(raw, this.#env) : raw
      this.#settings.push({ path, raw: value, where })
    } catch (error) {
      this.#problems.push(`${where}: ${path}: ${(error as Error).message}`)
    }
  }

  #problem(offset: number, text: string): void {
    this.#problems.push(`${this.#shown}:${this.#lines.linePos(offset).line}: ${text}`)
  }
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
    const names = configKeys.filter((k) => k.path.startsWith(`${section}.`))
    return `${section} has ${names.map((k) => k.path.slice(section.length + 1)).join(', ')}`
  }
  const inside = configKeys.filter((k) => k.path.endsWith(`.${path}`)).map((k) => k.path)
  if (inside.length > 0) return `did you mean ${inside.join(' or ')}?`
  const top = configKeys.filter((k) => !k.path.includes('.')).map((k) => k.path)
  return `there are ${[...top, ...configSections].join(', ')}`
}

function resolved(document: Document.Parsed, node: Node): Node | undefined {
  return isAlias(node) ? node.resolve(document) : node
}

function offsetOf(node: Node): number {
  return node.range?.[0] ?? 0
}
