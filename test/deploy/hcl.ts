/**
 * Reads the Terraform modules of this repository, without Terraform. It relies on what `terraform fmt` guarantees, which is tested
 * beside it: a block begins with a line that ends in `{` and ends with a `}` in the column it began in.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

export const folder = resolve(import.meta.dirname, '../../deploy/terraform')

export interface Block {
  readonly type: string
  readonly labels: readonly string[]
  /** All lines within, moved to the left margin. */
  readonly body: string
  /** The whole block as written. */
  readonly text: string
}

/** The blocks of one level of a file or of a block's body, in order. */
export function blocks(text: string): Block[] {
  const heads = /^(\w+)((?: "[^"]*")*) \{(?:\}|\n([\s\S]*?)^\})$/gm
  return [...text.matchAll(heads)].map(([whole, type = '', labels = '', body = '']) => ({
    type,
    labels: [...labels.matchAll(/"([^"]*)"/g)].map(([, label = '']) => label),
    body: body.replaceAll(/^ {2}/gm, ''),
    text: whole,
  }))
}

/** The value of an argument as written, comments aside; undefined where the block does not set it. */
export function argument(body: string, name: string): string | undefined {
  return new RegExp(String.raw`^${name}\s+= (.*)$`, 'm').exec(body)?.[1]
}

/** All files of a module, comments removed, as one text. @param name a folder under deploy/terraform */
export function source(name: string): string {
  const at = join(folder, name)
  return readdirSync(at)
    .filter((file) => file.endsWith('.tf'))
    .sort()
    .map((file) => readFileSync(join(at, file), 'utf8').replaceAll(/^\s*#.*\n/gm, ''))
    .join('\n')
}

/** The one block with this type and these labels. */
export function block(text: string, type: string, ...labels: readonly string[]): Block {
  const found = blocks(text).filter(
    (b) => b.type === type && labels.every((label, i) => b.labels[i] === label),
  )
  const [only] = found
  if (only === undefined || found.length > 1) {
    throw new Error(`expected one ${type} ${labels.join(' ')}, found ${found.length}`)
  }
  return only
}

/** A quoted string as written in the source, without its quotes and escapes. */
export function unquoted(written: string | undefined): string | undefined {
  return written?.replace(/^"(.*)"$/, '$1').replaceAll('\\"', '"')
}
