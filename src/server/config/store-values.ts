/** How the keys of the cloud stores are read: names as their clouds allow them. */
import { named } from './values.ts'

/** What is no name in any of them. */
const PLAIN = /^[^/\s]{1,500}$/

export const tableName = () =>
  named('DynamoDB table', '3 to 255 characters of A-Z a-z 0-9 _ . -', (text) =>
    /^[a-zA-Z0-9_.-]{3,255}$/.test(text),
  )

export const awsRegion = () =>
  named('region', 'for example eu-west-1', (text) => /^[a-z0-9-]{1,64}$/.test(text), 'eu-west-1')

export const endpointUrl = () =>
  named(
    'URL without a user',
    'for example http://127.0.0.1:8000',
    (text) => {
      const url = URL.parse(text)
      return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
    },
    'http://127.0.0.1:8000',
  )

export const projectId = () =>
  named('project', 'its id, for example my-project-123', (text) => PLAIN.test(text), 'my-project-123')

export const databaseId = () =>
  named('Firestore database', '(default), or the id of another one', (text) => PLAIN.test(text))

export const collectionId = () =>
  named('Firestore collection', 'an id without /, not ., .. or __…__', (text) => {
    return PLAIN.test(text) && !/^(?:\.\.?|__.*__)$/.test(text)
  })

export const emulatorAddress = () =>
  named(
    'host with port',
    'for example 127.0.0.1:8080',
    (text) => /^[^/\s]+:\d{1,5}$/.test(text),
    '127.0.0.1:8080',
  )
