import { expect, it } from 'vitest'
import { z } from 'zod'
import type { Json } from '../ports/store.ts'
import { parametersOf } from './parameters.ts'

const of = (schema: z.ZodType, secrets: string[] = []) =>
  parametersOf({ input: z.toJSONSchema(schema, { io: 'input' }) as Record<string, Json>, secrets })

it('tells the parameters of a job: name, type, whether it is required, description, default, secret', () => {
  const input = z.object({
    increment: z.int().describe('How much'),
    region: z.enum(['eu', 'us']).default('eu'),
    to: z.array(z.email()).optional(),
    limit: z.number().nullable(),
    kind: z.literal('all').optional(),
    token: z.string().default('hunter2'),
    smtp: z.object({ password: z.string() }),
    else: z.unknown(),
  })
  expect(of(input, ['token', 'smtp.password'])).toEqual([
    { name: 'increment', type: 'integer', required: true, secret: false, description: 'How much' },
    { name: 'region', type: 'eu or us', required: false, secret: false, default: 'eu' },
    { name: 'to', type: 'list of email', required: false, secret: false },
    { name: 'limit', type: 'number or null', required: true, secret: false },
    { name: 'kind', type: 'all', required: false, secret: false },
    { name: 'token', type: 'string', required: false, secret: true },
    { name: 'smtp', type: 'object', required: true, secret: true },
    { name: 'else', type: 'any', required: expect.any(Boolean) as boolean, secret: false },
  ])
})

it('knows when there are no fields to name, and bounds the choices that it names', () => {
  expect(parametersOf({})).toBeUndefined()
  expect(of(z.union([z.string(), z.object({ a: z.string() })]))).toBeUndefined()
  expect(of(z.object({}))).toEqual([])
  const many = z.enum(Array.from({ length: 10 }, (_, i) => `c${i}`))
  expect(of(z.object({ many }))?.[0]?.type).toBe('c0 or c1 or c2 or c3 or c4 or c5 or c6 or c7 or 2 more')
})
