import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { generatedPages } from '../../../tools/generate-docs.ts'

it.each([...generatedPages()])(
  '%s is what the code says; else run: node tools/generate-docs.ts',
  (path, text) => {
    expect(readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')).toBe(text)
  },
)
