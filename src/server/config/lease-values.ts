/**
 * How the two lists of the merge-queue lease service's file are read: `repositories` and `auth.basic`, in the reference's
 * words. From the environment they come as JSON.
 */
import { z } from 'zod'
import { RESERVED_OWNERS } from '../../leases/http-paths.ts'
import { integer, named, structure } from './values.ts'

/** Ten years. */
const MAX_SECONDS = 10 * 365 * 86_400
const MAX_COUNT = 100_000

const owner = () =>
  named('owner', 'an organisation or user that is not a path of the server itself', (text) => {
    return /^[^/:\s]{1,100}$/.test(text) && !(RESERVED_OWNERS as readonly string[]).includes(text)
  })
const repository = () =>
  named('repository name', 'its name without the owner', (text) => /^[^/:\s]{1,100}$/.test(text))
const baseRef = () =>
  named('base ref', 'a branch such as main or release/1.2', (text) => {
    return /^[^\s:?*[\\^~]{1,250}$/.test(text) && !/^\/|\/$/.test(text)
  })

const provider = z.strictObject({
  owner: owner(),
  name: repository(),
  base_ref: baseRef(),
  stabilize_duration_seconds: integer(0, MAX_SECONDS).optional(),
  ttl_seconds: integer(1, MAX_SECONDS).optional(),
  expected_request_count: integer(0, MAX_COUNT).optional(),
  delay_lease_assignment_by: integer(0, MAX_COUNT).optional(),
  max_lease_seconds: integer(1, MAX_SECONDS).optional(),
  cool_down_seconds: integer(0, MAX_SECONDS).optional(),
})

const listed = z.array(provider).superRefine((providers, context) => {
  const seen = new Map<string, number>()
  providers.forEach(({ owner, name, base_ref }, index) => {
    const id = `${owner}/${name}@${base_ref}`
    const first = seen.get(id)
    if (first === undefined) seen.set(id, index)
    else {
      const message = `is listed twice (first as repositories[${first}]); keep one of the two`
      context.addIssue({ code: 'custom', path: [index], message, params: { shown: id } })
    }
  })
})

export const providerList = () =>
  structure(
    {
      type: 'list of lease providers',
      write:
        'a list of { owner, name, base_ref }, each with stabilize_duration_seconds, ttl_seconds, expected_request_count, delay_lease_assignment_by, max_lease_seconds and cool_down_seconds as far as they differ from leases.*',
      example: '[{ owner: acme, name: shop, base_ref: main, ttl_seconds: 200 }]',
    },
    listed,
  )

const text = () => named('text', 'a name and a password', (value) => value !== '')

export const basicUsers = () =>
  structure(
    {
      type: 'section of users',
      write: 'users: and below it one line for each user, name: password',
      example: '{ users: { ci: "${CI_PASSWORD}" } }',
    },
    z.strictObject({ users: z.record(z.string().regex(/^[^:\p{Cc}]{1,100}$/u), text()) }),
  )
