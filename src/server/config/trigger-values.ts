/** How the keys of `schedules.eventBridge` are read: names and ARNs as AWS allows them; and the section that our users have had before. */
import { named } from './values.ts'

/** Of connections, API destinations and rules. */
const AWS_NAME = /^[A-Za-z0-9._-]{1,64}$/

/** What AWS takes as the key of a connection, and hard enough to guess. */
export const triggerKey = () =>
  named(
    'key',
    "16 to 512 visible characters; 'signalbox schedule eventbridge init' makes one",
    (text) => /^[\x21-\x7e]{16,512}$/.test(text),
    'CC55F3F5-F55F-43F8-A90E-3F8D34211FC5',
  )

export const roleArn = () =>
  named(
    'role',
    'its ARN, for example arn:aws:iam::123456789012:role/shop-test-RunJob',
    (text) => /^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]{1,512}$/.test(text),
    'arn:aws:iam::123456789012:role/shop-test-RunJob',
  )

export const awsName = (type: string, example: string) =>
  named(type, '1 to 64 characters of A-Z a-z 0-9 . _ -', (text) => AWS_NAME.test(text), example)

export const namePrefix = () =>
  named(
    'prefix',
    '1 to 32 characters of A-Z a-z 0-9 . _ -',
    (text) => /^[A-Za-z0-9._-]{1,32}$/.test(text),
    'shop-test-',
  )

/** No header that means something else on the way. */
export const headerName = () =>
  named(
    'header',
    'its name, for example X-Api-Key, and not one that HTTP uses itself',
    (text) =>
      /^[A-Za-z0-9-]{1,128}$/.test(text) &&
      !/^(?:host|connection|content-.*|transfer-encoding|range|user-agent|accept.*|cookie)$/i.test(text),
  )

/** With or without a path. */
export const targetUrl = () =>
  named(
    'web address',
    'for example https://signalbox.example.org; the path of our endpoint is appended',
    (text) => {
      const url = URL.parse(text)
      const plain = url !== null && url.username === '' && url.password === '' && url.hash === ''
      return plain && /^https?:$/.test(url.protocol)
    },
    'https://signalbox.example.org',
  )

/** The section `AwsEventBridgeSettings`, in the file or as one variable with JSON, and the keys that its entries set. */
export const AWS_SETTINGS = 'AwsEventBridgeSettings'
export const awsSettings: Readonly<Record<string, string>> = {
  APIKey: 'schedules.eventBridge.apiKey',
  PreviousAPIKey: 'schedules.eventBridge.previousApiKey',
  TargetRoleArn: 'schedules.eventBridge.targetRoleArn',
  ApiConnectionName: 'schedules.eventBridge.apiConnectionName',
  ApiDestinationName: 'schedules.eventBridge.apiDestinationName',
  AuthHeader: 'schedules.eventBridge.authHeader',
}

/** The variable of one entry: `AwsEventBridgeSettings__APIKey`. */
export function awsVariable(entry: keyof typeof awsSettings): string {
  return `${AWS_SETTINGS}__${entry}`
}
